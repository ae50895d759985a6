"""The configuration of a run, as config.json records it, and when two configurations are the same.

`config.json` is written when a run starts and holds the resolved configuration: plain values, nothing that refers to
another key, the environment or the time. Everything that reads runs reads it. Runs of audiobag 0.1 have none; their
configuration is read from `.hydra/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from audiobag.runs.first_version import read_first_version
from audiobag.utils.errors import InputError
from audiobag.utils.files import read_json, write_json
from audiobag.utils.values import listed

SCHEMA: Final = 2
"""Version of the configuration's keys. `upgraded` brings older configurations to it."""

# Keys that say where or how a run happens and do not change its result. All other keys are hashed, so a key that is
# missing here can cause an unnecessary run but never a wrong skip.
_NOT_HASHED: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"paths", "logger", "threads", "tags", "graph"}),
    "data": frozenset({"root", "placement"}),
    "trainer": frozenset(
        {"accelerator", "devices", "num_nodes", "strategy", "logger", "log_every_n_steps", "enable_progress_bar"}
    ),
    "callbacks": frozenset({"checkpoints", "progress", "heartbeat", "observer"}),
}
# Keys added after the first schema, with the value that means what earlier versions did: a key with that value is not
# hashed, so a run that was made before the key existed has the same hash.
_ADDED: Final[Mapping[str, Any]] = {
    "ckpt_path": None,
    "init_from": None,
    "augment": {},
    "data.fold": None,
    "data.folds": 5,
    "embedding.input_norm": False,
}
_NOT_SET: Final = object()
_SHOWN: Final = 6  # differences in a message


class OtherConfigurationError(InputError):
    """A run of another configuration was started in a folder."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What config.json records.

    Attributes:
        config: the resolved configuration, in plain containers.
        overrides: the overrides given on the command line, or to this job by its sweep.
        choices: the option chosen of each configuration group.
        follows_seed: dotted keys whose values are derived from the seed, the seed included.
        threads: CPU threads of each process of the run; None if unknown.
        schema: version of the configuration's keys.
    """

    config: Mapping[str, Any]
    overrides: Sequence[str] = ()
    choices: Mapping[str, str] | None = None
    follows_seed: Sequence[str] = ("seed",)
    threads: int | None = None
    schema: int = SCHEMA

    @property
    def hash(self) -> str:
        """Hash of everything in the configuration that can change the result."""
        return config_hash(self.config)

    @property
    def without_seed(self) -> dict[str, Any]:
        """The configuration with None in place of the seed and of everything derived from it."""
        config: dict[str, Any] = json.loads(json.dumps(self.config))
        for key in self.follows_seed:
            *parents, last = key.split(".")
            node: Any = config
            for parent in parents:
                node = node.get(parent, {})
            if last in node:
                node[last] = None
        return config

    def write(self, path: Path) -> None:
        """Write config.json."""
        write_json(path, {**asdict(self), "config_hash": self.hash})


def read_record(path: Path, key: str, kind: type = object) -> dict[str, Any] | None:
    """Return the content of a JSON file of audiobag, with a value of type `kind` under `key`; None if there is no file.

    Raises:
        ValueError: the file was not written by audiobag.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): remove the folder, or choose another") from error
    if not isinstance(content, dict) or key not in content or not isinstance(content[key], kind):
        raise InputError(f"{path} has no {key}, so it was not written by audiobag: choose another folder")
    return content


def read_config(folder: Path) -> RunConfig:
    """Return the configuration of the run in a folder.

    Raises:
        ValueError: the folder has no readable configuration.
    """
    path = folder / "config.json"
    content = read_record(path, "config", dict)
    if content is None:
        fields = read_first_version(folder)
        return RunConfig(**{**fields, "config": upgraded(fields["config"], 1)})
    schema = content.get("schema", 1)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise InputError(f"{path} has schema {schema}, this version reads up to {SCHEMA}: upgrade audiobag")
    known = {name: content[name] for name in RunConfig.__dataclass_fields__ if name in content}
    for name in {"overrides", "follows_seed"} & known.keys():
        known[name] = [str(one) for one in listed(known[name])]
    return RunConfig(**{**known, "config": upgraded(content["config"], schema), "schema": SCHEMA})


def upgraded(config: Mapping[str, Any], schema: int) -> dict[str, Any]:
    """Return a configuration of an older schema with the keys and paths of the present one."""
    new: dict[str, Any] = dict(config)
    if schema < 2:
        text = json.dumps(new).replace('"audiobag.callbacks.', '"audiobag.training.callbacks.')
        new = json.loads(text)
        if "scheduler" in new:
            new["lr_scheduler"] = new.pop("scheduler")
    return new


def _first_hash(config: Mapping[str, Any]) -> str:
    """Return the hash that audiobag 0.1 records for the same configuration."""
    old = {"scheduler" if key == "lr_scheduler" else key: value for key, value in config.items()}
    return config_hash(json.loads(json.dumps(old).replace('"audiobag.training.callbacks.', '"audiobag.callbacks.')))


def check_same(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that no run of another configuration was started in a folder.

    Raises:
        OtherConfigurationError: lists every difference that can change the result.
        ValueError: a run was started there, and its configuration cannot be read.
    """
    started, ended = (read_json(folder / name) for name in ("run.json", "metrics.json"))
    recorded = started.get("config_hash") or ended.get("config_hash")
    if not (folder / "config.json").exists() and (recorded is None or recorded == _first_hash(config)):
        return
    changed = differences(read_config(folder).config, config)
    if not changed and not (folder / "config.json").exists():
        # Hydra has overwritten `.hydra/`, the only record of this configuration, when the present command started.
        changed = [f"its hash is {recorded}"]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        shown = ", ".join(changed[:_SHOWN])
        raise OtherConfigurationError(f"{folder} holds a run of another configuration: {shown}{more}")


def config_hash(config: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that identify what can change a result: data, model, loss, optimisation, seed."""
    return hashlib.sha256(json.dumps(hashed_config(config), sort_keys=True).encode()).hexdigest()[:16]


def hashed_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that `config_hash` covers, as JSON has it: with texts as keys."""
    covered = {
        key: {k: v for k, v in value.items() if k not in _NOT_HASHED.get(key, ()) and not _as_before(f"{key}.{k}", v)}
        if isinstance(value, Mapping)
        else value
        for key, value in config.items()
        if key not in _NOT_HASHED[""] and not _as_before(key, value)
    }
    part: dict[str, Any] = json.loads(json.dumps(covered))
    return part


def _as_before(key: str, value: Any) -> bool:
    """Return whether a key was added after the first schema and its value means what happened before."""
    return key in _ADDED and value == _ADDED[key]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one phrase for each key that `config_hash` covers and whose value changed.

    A component of another class is one change. A key such as data.seed that changed as the key seed did is left out.

    Example:
        >>> differences({"trainer": {"max_steps": 60}}, {"trainer": {"max_steps": 400}})
        ['trainer.max_steps was 60, is 400']
    """
    found = dict(_changes(hashed_config(before), hashed_config(now)))
    return [f"{key} {how}" for key, how in found.items() if "." not in key or found.get(key.split(".")[-1]) != how]


def _changes(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each key whose value changed, and how."""
    old, new = ({} if value is _NOT_SET else value for value in (before, now))
    parts = isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("_target_") == new.get("_target_")
    if parts and (old or new):
        for name in dict.fromkeys([*old, *new]):
            inner = f"{key}.{name}" if key else str(name)
            yield from _changes(old.get(name, _NOT_SET), new.get(name, _NOT_SET), inner)
    elif before != now:
        yield key, f"was {_shown(before)}, is {_shown(now)}"


def _shown(value: Any) -> str:
    """Return a value, or the class of a component."""
    if value is None:
        return "null"
    if value is _NOT_SET:
        return "not set"
    if value == {}:
        return "empty"
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return value if isinstance(value, str) else json.dumps(value)
