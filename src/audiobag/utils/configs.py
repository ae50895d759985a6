"""Conversion of Hydra's configurations and overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return a configuration without references, in plain containers.

    Raises:
        omegaconf.errors.OmegaConfBaseException: a value is missing, or a reference leads nowhere.
    """
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping of dotted keys; a list is one value."""
    if isinstance(value, Mapping) and value:
        return {k: v for key, inner in value.items() for k, v in flatten(inner, f"{prefix}{key}.").items()}
    return {prefix[:-1]: value}


def value_at(config: Any, key: str, otherwise: Any = None) -> Any:
    """Return the value of a dotted key in nested mappings, or `otherwise` if there is no such key."""
    for name in key.split("."):
        config = config.get(name, otherwise) if isinstance(config, Mapping) else otherwise
    return config


def quoted(text: str | Path) -> str:
    r"""Return a text in quotes, for an override that Hydra reads back as exactly this text.

    `${` starts no reference. A backslash is an escape only in front of a quote or of `${`.

    Example:
        >>> quoted("it's")
        "'it\\'s'"
    """
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(text))
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"
