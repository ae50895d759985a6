"""Keys that the configuration does not have: what may have been meant, and what they need."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from inspect import signature
from typing import Any

from audiobag.utils.configs import flatten, value_at
from audiobag.utils.errors import InputError

RENAMED = {"scheduler": "lr_scheduler"}
"""Keys and groups with another name in audiobag 0.1."""
_LISTED = 12  # keys of a group in a message, at most
_GROUPS = files("audiobag.conf")


def unknown_key(key: str, known: Iterable[str], *, addable: bool = False) -> str:
    """Return the sentence for a key that nothing reads.

    Args:
        key: dotted.
        known: the keys that there are, dotted.
        addable: whether `+key=...` would be read, as an argument that a component's YAML does not list.
    """
    top, dot, rest = key.partition(".")
    if top in RENAMED:
        return f"{key} is not a key: {top} is now {RENAMED[top]}, so write {RENAMED[top]}{dot}{rest}"
    meant = _meant(key, [one for one in known if one != key])
    added = f" (+{key}=... adds an argument that is not listed)" if addable else ""
    return f"{key} is not a key that anything reads{added}: {meant or '--help lists the keys'}"


def check_accepted(group: str, names: Iterable[str], function: Callable[..., Any]) -> None:
    """Check that a function takes the keys of a group as arguments.

    Raises:
        ValueError: it has no such argument.
    """
    accepted = signature(function).parameters
    for name in names:
        if name not in accepted and not any(one.kind is one.VAR_KEYWORD for one in accepted.values()):
            raise InputError(unknown_key(f"{group}.{name}", [f"{group}.{known}" for known in accepted]))


def _meant(key: str, known: Sequence[str]) -> str | None:
    """Return which of the known keys may have been meant by a key that is not one of them."""
    parent, _, name = key.rpartition(".")
    prefix = f"{parent}." if parent else ""
    below = dict.fromkeys(one.removeprefix(prefix).partition(".")[0] for one in known if one.startswith(prefix))
    names = [one for one in below if not one.startswith("_")]
    same = [one for one in known if one.rpartition(".")[2] == name]
    if close := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {prefix}{close[0]}?"
    if len(same) == 1:
        return f"did you mean {same[0]}?"
    if parent and 0 < len(names) <= _LISTED:
        return f"{parent} has {', '.join(names)}"
    close = [] if names and parent else difflib.get_close_matches(key, [one for one in known if "._" not in one], n=1)
    return f"did you mean {close[0]}?" if close else None


def missing_key(key: str, config: Mapping[str, Any]) -> str:
    """Return the sentence for a key that the configuration does not have."""
    group, _, name = key.rpartition(".")
    parent = value_at(config, group)
    if (sentence := below_null(key, config)) is not None:
        return sentence
    if group and _GROUPS.joinpath(group, f"{name}.yaml").is_file():
        return f"{key} needs {group}={name}: add it, or {group}=[...,{name}] beside others"
    if parent == {} and _GROUPS.joinpath(group).is_dir():
        return f"{key} needs another choice of {group}, which has no arguments now: add {group}=...; --help lists them"
    component = isinstance(parent, Mapping) and "_target_" in parent and not key.startswith("hydra.")
    return unknown_key(key, flatten(config), addable=component)


def below_null(argument: str, config: Mapping[str, Any]) -> str | None:
    """Return the sentence for an override `a.b.c=value` of which `a` or `a.b` is null; None for other overrides.

    Args:
        argument: the override.
        config: the composed configuration without overrides.
    """
    key = argument.partition("=")[0].lstrip("+~")
    for dot in re.finditer(r"\.", key):
        parent = key[: dot.start()]
        group, _, name = parent.rpartition(".")
        if value_at(config, parent, {}) is not None:
            continue
        if _GROUPS.joinpath(parent).is_dir():
            return f"{argument} needs a choice of {parent}, which is null: add {parent}=...; --help lists them"
        if group and _GROUPS.joinpath(group, f"{name}.yaml").is_file():
            return missing_key(parent, config)
        return f"{argument} needs a value of {parent}, which is null: set it as a whole, {parent}={{...}}"
    return None
