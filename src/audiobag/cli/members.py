"""The models that `checkpoint=` and `runs=` name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiobag.runs.finding import training_runs
from audiobag.utils.errors import InputError
from audiobag.utils.values import listed


def members(checkpoint: Any, runs: Any) -> list[str | Path]:
    """Return the checkpoints and runs that a command is given: one, or the members of an ensemble.

    Args:
        checkpoint: a path or several.
        runs: a folder of runs or several, such as that of a sweep.

    Raises:
        ValueError: nothing is named, or `runs` has no complete run.
    """
    named: list[str | Path] = [str(path) for path in listed(checkpoint) if path != ""]
    folders = [Path(str(folder)) for folder in listed(runs) if folder != ""]
    if not named and not folders:
        raise InputError("checkpoint has no value and needs one: add checkpoint=...; --help says what it takes")
    return [*named, *(training_runs(folders) if folders else [])]
