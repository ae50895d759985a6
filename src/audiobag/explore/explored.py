"""The data behind the page: scores of the classes, and clips that show how a class is recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import Store
from audiobag.pictures.clips import ClipPicture
from audiobag.report.clip_selection import highest
from audiobag.report.clips import Load, Model, clip_pictures, load_scored
from audiobag.report.collect import Run, collect
from audiobag.report.evidence import Labels, predictions
from audiobag.report.plots import Counts, class_counts
from audiobag.report.systems import System
from audiobag.utils.errors import InputError

SECTIONS: Final = {
    "found": "Found: clips of the class with the highest F",
    "missed": "Missed: clips of the class with the lowest F",
    "mistaken": "False alarms: other clips with the highest F",
}
EACH: Final = 3


@dataclass(frozen=True)
class Explored:
    """A run with its eval set. The model is loaded when it is first used.

    Attributes:
        name: name of the run, distinct from the other's.
        run: the run.
        store: its eval set.
        counts: number of clips of each class.
        probability: F [N, K], with the scored weights.
        positive: labels [N, K].
        load: loads the model of a checkpoint.
    """

    name: str
    run: Run
    store: Store
    counts: Counts
    probability: NDArray[np.float32]
    positive: NDArray[np.bool_]
    load: Load

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.run.classes.names

    @property
    def system(self) -> System:
        """The run as a system of one seed, for the report's figures."""
        return System(self.name, (self.run,), {})

    @cached_property
    def model(self) -> Model:
        """The model, with the scored weights.

        Raises:
            ValueError: the checkpoint was deleted.
        """
        return load_scored(self.run, self.store, self.load)

    def clips(self, k: int) -> dict[str, list[int]]:
        """Return up to three clips of class k for each of SECTIONS, without repetition."""
        score, has = self.probability[:, k], self.positive[:, k]
        found = highest(score, has, EACH)
        rest = has.copy()
        rest[found] = False
        return {
            "found": found,
            "missed": highest(-score, rest, EACH),
            "mistaken": highest(score, ~has, EACH),
        }

    def look(self, rows: Sequence[int], k: int, why: str = "") -> list[ClipPicture]:
        """Return clips with the model's predictions, for drawing.

        Args:
            rows: clips of the store.
            k: a class to include.
            why: note beside the ids.

        Raises:
            ValueError: the checkpoint was deleted.
        """
        return clip_pictures(self.model, self.store, dict.fromkeys(rows, why), also=(k,), count=3)


def open_runs(folders: Sequence[Path], load: Load) -> list[Explored]:
    """Open one run, or two that were scored on the same eval set.

    Args:
        folders: folders of the runs.
        load: loads the model of a checkpoint.

    Raises:
        ValueError: there are not one or two folders, a folder is not one complete run, predictions or the eval set are
            missing, or the eval sets differ.
    """
    if len(folders) not in (1, 2):
        raise InputError(f"{len(folders)} folders were given: expected one run, or two to compare")
    runs = [_one(folder) for folder in folders]
    labels, opened = Labels(), []
    for run, name in zip(runs, _names(runs), strict=True):
        store = labels.scored(run)
        opened.append(
            Explored(
                name,
                run,
                store,
                class_counts(run.classes),
                predictions(run, store, averaged=False),
                store.labels.dense(),
                load,
            )
        )
    first, last = opened[0], opened[-1]
    if first.store.content_sha256 != last.store.content_sha256:
        raise InputError(f"{folders[0]} and {folders[-1]} were scored on different eval sets: explore them separately")
    return opened


def _one(folder: Path) -> Run:
    runs, _ = collect([folder])
    if len(runs) != 1:
        raise InputError(f"{folder} holds {len(runs)} runs: give the folder of one, such as {runs[0].directory.path}")
    return runs[0]


def _names(runs: Sequence[Run]) -> list[str]:
    paths = [run.directory.path for run in runs]
    if len({path.name for path in paths}) == len(paths):
        return [path.name for path in paths]
    return [f"{n}: {path.parent.name}/{path.name}" for n, path in enumerate(paths, 1)]


def order(opened: Sequence[Explored], by: str, find: str) -> list[int]:
    """Return the classes whose names contain `find`, sorted.

    Args:
        opened: one run or two.
        by: "name"; "clips", most first; "AP", highest first; or "difference", second minus first, largest first.
        find: part of a name; case is ignored.
    """
    first, last = opened[0], opened[-1]
    ap, other = first.run.classes.average_precision, last.run.classes.average_precision
    keys: Mapping[str, NDArray[np.floating]] = {
        "name": np.zeros(len(ap)),
        "clips": -first.counts.clips.astype(float),
        "AP": -ap,
        "difference": ap - other,
    }
    names = [name.casefold() for name in first.classes]
    key = np.nan_to_num(keys[by], nan=np.inf)  # classes without AP come last
    return sorted(
        (k for k in range(len(names)) if find.strip().casefold() in names[k]), key=lambda k: (key[k], names[k])
    )
