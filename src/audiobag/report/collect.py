"""Folders to runs: everything below them that is complete, and why the rest is left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiobag.errors import UserError
from audiobag.runs import ClassScores, RunDirectory

SCORED = ("test", "test_averaged")
METRICS = ("mAP", "AUC", "d_prime")


@dataclass(frozen=True, slots=True)
class Run:
    """One complete training run.

    Attributes:
        directory: where it lies.
        metrics: what metrics.json says.
        config: resolved, with the seed taken out wherever it went.
        classes: per_class.csv, of the final weights.
    """

    directory: RunDirectory
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    classes: ClassScores

    @property
    def seed(self) -> int:
        """What tells the runs of one system apart."""
        return int(self.metrics["seed"])

    @property
    def choices(self) -> Mapping[str, str]:
        """The option chosen of each configuration group."""
        choices: Mapping[str, str] = self.metrics["choices"]
        return choices

    @property
    def stores(self) -> Mapping[str, str]:
        """The checksum of each store, by name."""
        stores: Mapping[str, str] = self.metrics["stores"]
        return stores

    @property
    def revision(self) -> str | None:
        """The revision of the code, where it was known."""
        revision: str | None = self.metrics.get("git_revision")
        return revision


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A folder that looks like a run but is not in the report, and why."""

    path: Path
    reason: str


def collect(folders: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs at and below `folders`, each once, in the order of their paths.

    Raises:
        UserError: a folder does not exist, or there is not one complete run in all.
    """
    folders = list(folders)
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for path in sorted({found.resolve() for folder in folders for found in _candidates(folder)}):
        try:
            runs.append(_read(RunDirectory(path)))
        except UserError as error:
            left_out.append(LeftOut(path, str(error)))
    if not runs:
        where = ", ".join(map(str, folders))
        broken = f" ({len(left_out)} unfinished or broken: {left_out[0].reason})" if left_out else ""
        raise UserError(f"no complete run at or below {where}{broken}: give the folder of a run or of a sweep")
    return runs, left_out


def unsent(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of offline W&B starts at and below `folders` that are not sent yet, unfinished runs' too."""
    found = sorted({path for folder in folders for path in _candidates(folder)})
    return [start for path in found for start in RunDirectory(path).unsent()]


def _candidates(folder: Path) -> Iterator[Path]:
    """Folders that a run has begun to fill; a run holds no other runs, so nothing is sought below one."""
    if not folder.is_dir():
        raise UserError(f"no folder at {folder}: give the folder of a run or of a sweep")
    for parent, below, names in os.walk(folder):
        if {"metrics.json", "run.json", "train.log"} & set(names):
            below.clear()
            yield Path(parent)


def _read(directory: RunDirectory) -> Run:
    """Read one run.

    Raises:
        UserError: it is not complete, not ours, or not a training run.
    """
    metrics = directory.metrics()
    if metrics is None or metrics["status"] != "done":
        raise UserError("not finished: the command that started it continues it")
    if "checkpoint" in metrics:
        raise UserError(f"scores of a checkpoint by audiobag-evaluate ({metrics['checkpoint']}), not a run of its own")
    _check(metrics)
    classes = directory.read_per_class()
    expected = metrics["test"]["classes"] + metrics["test"].get("classes_left_out", 0)
    if len(classes.names) != expected:
        raise UserError(f"per_class.csv has {len(classes.names)} classes, metrics.json {expected}")
    return Run(directory, metrics, directory.config(seed=None), classes)


def _check(metrics: Mapping[str, Any]) -> None:
    """Refuse a metrics.json that lacks what a training run writes into it."""
    wanted = {"seed": int, "choices": dict, "stores": dict, "test": dict}
    for key, kind in wanted.items():
        if not isinstance(metrics.get(key), kind):
            raise UserError(f"metrics.json has no {key}, so no training run of audiobag wrote it")
    for scored in SCORED:
        scores = metrics.get(scored)
        if scores is not None and not (isinstance(scores, dict) and {*METRICS, "classes"} <= scores.keys()):
            raise UserError(f"metrics.json has a {scored} without {', '.join(METRICS)} and classes")
