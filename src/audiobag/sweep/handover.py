"""The file that a sweep hands to a job: the configuration of the job, composed and resolved once.

The job composes nothing again, so that later changes of YAML files, of the environment or of the working directory do
not reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydra.conf import HydraConf
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from audiobag.runs import RunConfig
from audiobag.runs.finding import JOB
from audiobag.utils.errors import InputError
from audiobag.utils.files import write_text

NAME: Final = JOB
_HELP: Final = ("help", "hydra_help")


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a job is started with.

    Attributes:
        record: the resolved configuration of the job, and what config.json records beside it.
        hydra: Hydra's part of the configuration, which names the folder and the log.
        code: folder of the code to run, see `sweep.snapshot`; None for the installed one.
    """

    record: RunConfig
    hydra: Mapping[str, Any]
    code: Path | None = None

    def write(self, folder: Path) -> None:
        """Write job.yaml into the folder of the job."""
        record = self.record
        content = {
            "config_hash": record.hash,
            "overrides": list(record.overrides),
            "choices": dict(record.choices or {}),
            "follows_seed": list(record.follows_seed),
            "code": None if self.code is None else str(self.code),
            "config": dict(record.config),
            "hydra": dict(self.hydra),
        }
        write_text(folder / NAME, OmegaConf.to_yaml(OmegaConf.create(content)))

    def configuration(self, *changes: str) -> DictConfig:
        """Return the configuration as Hydra hands it to a task, with its own part.

        Args:
            *changes: overrides of Hydra's part, `hydra.key=value`.
        """
        structured = OmegaConf.create({"hydra": OmegaConf.structured(HydraConf)})
        OmegaConf.set_struct(structured.hydra, False)
        own = OmegaConf.create({**self.record.config, "hydra": dict(self.hydra)})
        config = OmegaConf.merge(structured, own, OmegaConf.from_dotlist(list(changes)))
        assert isinstance(config, DictConfig)
        return config


def hydra_part(hydra: DictConfig, folder: Path) -> dict[str, Any]:
    """Return Hydra's part of a configuration for a single run in a folder, in plain containers."""
    plain = OmegaConf.to_container(hydra, enum_to_str=True)
    assert isinstance(plain, dict)
    kept = {str(key): value for key, value in plain.items() if key not in _HELP}
    return {**kept, "mode": RunMode.RUN.name, "run": {"dir": str(folder)}}


def read(folder: Path, expected: str) -> HandedOver:
    """Read job.yaml.

    Raises:
        ValueError: the file cannot be read, or holds another configuration than the sweep composed.
    """
    path = folder / NAME
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        record = RunConfig(
            content["config"], content["overrides"], content["choices"], [str(key) for key in content["follows_seed"]]
        )
        found = record.hash
        code = content.get("code")
        handed = HandedOver(record, content["hydra"], None if code is None else Path(code))
    except Exception as error:  # whatever yaml and omegaconf raise for a damaged file
        raise InputError(f"{path} cannot be read ({' '.join(str(error).split())}): start the sweep again") from error
    if found != expected:
        raise InputError(
            f"{path} holds a configuration with hash {found}, expected {expected}, which the sweep composed for this"
            " job: start the sweep again"
        )
    return handed
