"""Names of sweeps and of their jobs: the same command finds the same folders again."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

LONGEST = 100  # characters of a folder's name; file systems allow 255, people less
_WILD = re.compile(r"[^A-Za-z0-9._-]+")


def folder_name(text: str) -> str:
    """Return `text` as the name of a folder: `pooling-max__seed-0`.

    Letters, digits, dots, dashes and underscores stay, `/` and `+` become dashes; where anything else had to go, or
    the name is long, a hash of the text keeps names apart.
    """
    plain = text.replace("/", "-").replace("+", "-")
    plain = plain or "job"
    name = _WILD.sub("-", plain)
    if name != plain or len(name) > LONGEST:
        name = f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


class NameSweep(Callback):
    """Names a sweep's folder, and has Hydra name each job by the swept overrides alone.

    `hydra.sweep.dir=auto` becomes outputs/sweeps/ and the preset's name, or else the swept keys, with the data set.
    What has one value in the whole sweep goes to Hydra's own list of what a job's name leaves out. Both join the
    sweep's Hydra overrides, from which every launcher, here or elsewhere, makes the jobs' configurations.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Add the names to the sweep's configuration."""
        hydra = config.hydra
        given = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
        swept = [o.key_or_group for o in given if o.is_sweep_override()]
        constant = [o.key_or_group for o in given if not o.is_sweep_override()]
        swept += [k for k in hydra.sweeper.get("params") or {} if k not in constant]
        pinned = [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(map(_quoted, constant))}]"]
        if hydra.sweep.dir == "auto":
            choices = hydra.runtime.choices
            what = choices.get("sweep") or "+".join(sorted(swept)) or "one"
            hydra.sweep.dir = "outputs/sweeps/" + folder_name(f"{what}-{choices.get('data')}")
            pinned.append(f"hydra.sweep.dir={_quoted(hydra.sweep.dir)}")
        hydra.overrides.hydra.extend(pinned)


def _quoted(text: str) -> str:
    """Return `text` as Hydra's grammar reads it back."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
