"""Command lines that Hydra does not support: folders without a key, flags between overrides, names with quotes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from audiobag.utils.configs import quoted

# Hydra's flags whose value is the next argument.
_WITH_VALUE = {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}
# These characters of an override's value mean nothing to Hydra.
_PLAIN = re.compile(r"[\w./+@ -]*")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return command line arguments with the flags before the overrides; Hydra refuses overrides on both sides of one.

    Example:
        >>> flags_first(["seed=0,1", "-m", "pooling=max"])
        ['-m', 'seed=0,1', 'pooling=max']
    """
    if "--info" in arguments:  # whose value may be left out
        return list(arguments)
    flags: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        value_of_flag = bool(flags) and flags[-1] in _WITH_VALUE
        (flags if value_of_flag or argument.startswith("-") else overrides).append(argument)
    return [*flags, *overrides]


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Return command line arguments with quotes around values that name an existing file and that Hydra cannot read."""
    parts = [argument.partition("=") for argument in arguments]
    return [
        f"{key}={quoted(value)}" if equals and not _PLAIN.fullmatch(value) and os.path.lexists(value) else argument
        for argument, (key, equals, value) in zip(arguments, parts, strict=True)
    ]


def name_folders(arguments: Sequence[str], key: str = "runs") -> list[str]:
    """Return command line arguments with the folders or files in one override, by default `runs=[...]`.

    An argument with a `=` is an override unless a folder of that name exists, such as `pooling=max,seed=0` of a sweep.

    Example:
        >>> name_folders(["table2", "out=docs"])
        ["runs=['table2']", 'out=docs']
    """
    kept: list[str] = []
    folders: list[str] = []
    place = 0
    for argument in arguments:
        override = "=" in argument and not os.path.lexists(argument)  # Path.exists refuses long overrides
        value_of_flag = bool(kept) and kept[-1] in _WITH_VALUE
        for_hydra = override or value_of_flag or argument.startswith(("-", "~"))
        if not for_hydra and not folders:
            place = len(kept)  # an override after the value of a flag is refused by Hydra's parser
        (kept if for_hydra else folders).append(argument)
    return [*kept[:place], f"{key}=[{','.join(map(quoted, folders))}]", *kept[place:]] if folders else kept
