"""The options of a command: the composed configuration as a dataclass, and the options of its groups."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from audiobag.cli import schema
from audiobag.cli.keys import unknown_key
from audiobag.runs import RunConfig
from audiobag.utils.configs import flatten, resolved
from audiobag.utils.errors import InputError

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def options_of(root: str, config: DictConfig, plain: Mapping[str, Any] | None = None) -> Any:
    """Return the options of a command as its dataclass, with every type checked.

    Args:
        root: name of the root configuration.
        config: composed, with its references.
        plain: the same configuration, resolved; None to resolve it here.

    Raises:
        ValueError: the configuration has a key that nothing reads.
        omegaconf.errors.OmegaConfBaseException: a value is missing or of another type.
    """
    plain = resolved(config) if plain is None else plain
    names = names_of(root)
    attributes = _attributes(plain)
    known = flatten({key: value for key, value in attributes.items() if key in names})
    hydra = HydraConfig.instance().cfg if HydraConfig.initialized() else None
    texts = [str(OmegaConf.to_container(one)) for one in (config, hydra) if one]
    referred = {key for text in texts for key in _REFERENCE.findall(text)}
    for key in (key for name, value in attributes.items() if name not in names for key in flatten({name: value})):
        if not any(key == one or key.startswith(f"{one}.") for one in referred):
            raise InputError(unknown_key(key, known))
    return typed(root, plain)


def typed(root: str, plain: Mapping[str, Any]) -> Any:
    """Return the options of a command as its dataclass, without the keys that other keys refer to.

    Raises:
        omegaconf.errors.OmegaConfBaseException: a value is missing or of another type.
    """
    names = names_of(root)
    given = {key: value for key, value in _attributes(plain).items() if key in names}
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema.SCHEMAS[root]), given))


def record_of(composed: DictConfig, config: Mapping[str, Any], overrides: Sequence[str]) -> RunConfig:
    """Return the configuration to record: resolved, with the keys that follow the seed.

    Args:
        composed: as Hydra composed it, with its references.
        config: the same configuration, resolved. It is not resolved again, since a resolver may answer with something
            else each time: what is recorded is what is trained.
        overrides: given on the command line.
    """
    again, other = (flatten(resolved(_with_seed(composed, config["seed"] + more))) for more in (0, 1))
    before = flatten(config)
    # A value that changes without the seed, such as a random one, does not follow it.
    for key, value in before.items():
        _check_finite(key, value)
    follows = [key for key in before if before[key] != other.get(key) and before[key] == again.get(key)]
    return RunConfig(config, list(overrides), choices(), follows)


def _check_finite(key: str, value: Any) -> None:
    """Refuse infinity and NaN, which the JSON of a run cannot hold."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, float) and not math.isfinite(one):
            raise InputError(f"{key} must be finite, got {one}: null stands for no limit where there can be one")


def train_record(composed: DictConfig) -> RunConfig:
    """Return the configuration of a job to record, after its options are checked; see `record_of`.

    Raises:
        ValueError: the configuration has a key that nothing reads.
        omegaconf.errors.OmegaConfBaseException: a value is missing or of another type.
    """
    config = resolved(composed)
    options_of("train", composed, config)
    return record_of(composed, config, task_overrides())


def task_overrides() -> list[str]:
    """Return the overrides of a run without the preset of a sweep."""
    return [one for one in HydraConfig.get().overrides.task if not one.startswith("sweep=")]


def choices() -> dict[str, str]:
    """Return the option chosen of each configuration group, without Hydra's own groups and the preset of a sweep."""
    chosen = HydraConfig.get().runtime.choices
    return {k: v for k, v in chosen.items() if "/" not in k and v and k != "sweep" and "hydra" not in k}


def _attributes(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with attributes of a dataclass in place of keys."""
    return {schema.KEYWORDS.get(key, key): value for key, value in plain.items()}


def _with_seed(composed: DictConfig, seed: int) -> DictConfig:
    merged = OmegaConf.merge(composed, {"seed": seed})
    assert isinstance(merged, DictConfig)
    return merged


def names_of(root: str) -> set[str]:
    """Return the names of the options of a command."""
    return {field.name for field in fields(cast(Any, schema.SCHEMAS[root]))}
