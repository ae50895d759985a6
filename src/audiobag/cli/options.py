"""The options of a command: the composed configuration as a dataclass, and the options of its groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from audiobag.cli import messages, schema
from audiobag.utils.configs import flatten, resolved
from audiobag.utils.errors import InputError

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def options_of(root: str, config: DictConfig) -> Any:
    """Return the options of a command as its dataclass, with every type checked.

    Args:
        root: name of the root configuration.
        config: composed; its references are resolved.

    Raises:
        ValueError: the configuration has a key that nothing reads.
        omegaconf.errors.OmegaConfBaseException: a value is missing or of another type.
    """
    typed = schema.SCHEMAS[root]
    plain = {schema.KEYWORDS.get(key, key): value for key, value in resolved(config).items()}
    names = {field.name for field in fields(cast(Any, typed))}
    known = flatten({key: value for key, value in plain.items() if key in names})
    hydra = HydraConfig.instance().cfg if HydraConfig.initialized() else None
    texts = [*_texts(OmegaConf.to_container(config)), *_texts(OmegaConf.to_container(hydra) if hydra else None)]
    referred = {key for text in texts for key in _REFERENCE.findall(text)}
    for key in (key for name, value in plain.items() if name not in names for key in flatten({name: value})):
        if not any(key == one or key.startswith(f"{one}.") for one in referred):
            raise InputError(messages.unknown_key(key, known))
    merged = OmegaConf.merge(OmegaConf.structured(typed), {k: v for k, v in plain.items() if k in names})
    return OmegaConf.to_object(merged)


def choices() -> dict[str, str]:
    """Return the option chosen of each configuration group, without Hydra's own groups and the preset of a sweep."""
    chosen = HydraConfig.get().runtime.choices
    return {k: v for k, v in chosen.items() if "/" not in k and v and k != "sweep" and "hydra" not in k}


def _texts(node: Any) -> Iterator[str]:
    """Yield every text in nested containers."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
