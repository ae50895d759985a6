"""Finding runs below folders, such as those of a sweep."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from audiobag.runs.directory import RunDirectory
from audiobag.utils.errors import InputError

_STARTED: Final = frozenset({"metrics.json", "config.json", "run.json", "train.log"})
EXPORT: Final = "class_names.json"
"""A file that the folder of an export has, and no run."""
JOB: Final = "job.yaml"
"""The file that a sweep hands to a job, before the job starts; see `sweep.handover`."""


def run_folders(folder: Path, *, waiting: bool = False) -> Iterator[Path]:
    """Yield the folders in which a run has started and, if `waiting`, those of jobs of sweeps that have not started.

    Symbolic links are followed. A folder that can be reached in several ways is found once, by the first of them. A run
    contains no other runs, so the search stops there.

    Raises:
        ValueError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"no folder at {folder}: give the folder of a run or of a sweep")
    visited: set[Path] = set()
    for parent, below, names in os.walk(folder, followlinks=True):
        below.sort()
        if (real := Path(parent).resolve()) in visited:  # also of a link to a folder above it
            below.clear()
            continue
        visited.add(real)
        if EXPORT in names:  # its config.json is that of a model
            below.clear()
        elif (_STARTED | {JOB} if waiting else _STARTED) & set(names):
            below.clear()
            yield Path(parent)
        below[:] = [name for name in below if not name.startswith(".")]  # such as the code of a sweep


def real_run_folders(folders: Iterable[Path], *, waiting: bool = False) -> list[Path]:
    """Return the folders of runs at and below some folders, without symbolic links, each once, sorted by path.

    Args:
        folders: where to search.
        waiting: see `run_folders`.

    Raises:
        ValueError: a folder does not exist.
    """
    return sorted({path.resolve() for folder in folders for path in run_folders(folder, waiting=waiting)})


def training_runs(folders: Iterable[Path]) -> list[Path]:
    """Return the training runs at and below some folders, each once, sorted by path.

    Raises:
        ValueError: there is none, or one is not complete.
    """
    found = []
    for path in real_run_folders(folders):
        metrics = RunDirectory(path).metrics()
        if metrics is None:
            raise InputError(f"{path} is not a complete run: continue it, or list the runs without it")
        if "train" in metrics:  # not the scores of a checkpoint or of an ensemble
            found.append(path)
    if not found:
        raise InputError("runs must have at least one complete training run at or below its folders, got none")
    return found
