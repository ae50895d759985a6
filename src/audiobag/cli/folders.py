"""Bare folders on the command line, which Hydra does not know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# Hydra's own flags that take the next argument as their value.
_WITH_VALUE = {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}


def name_folders(arguments: Sequence[str]) -> list[str]:
    """Gather bare folders into Hydra's `runs=[...]`: `table2 out=docs` becomes `out=docs runs=['table2']`.

    What has a `=` is an override, unless it exists: a job's folder may be called `pooling=max,seed=0`.
    """
    kept: list[str] = []
    folders: list[str] = []
    for argument in arguments:
        override = "=" in argument and not Path(argument).exists()
        value_of_flag = bool(kept) and kept[-1] in _WITH_VALUE
        hydras = override or value_of_flag or argument.startswith(("-", "~"))
        (kept if hydras else folders).append(argument)
    return [*kept, f"runs=[{','.join(map(_quoted, folders))}]"] if folders else kept


def _quoted(text: str) -> str:
    """Return `text` as Hydra reads it back: `${` begins no reference, and a backslash counts where it escapes."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"
