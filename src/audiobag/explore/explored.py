"""What the page asks of a run: scores of a class, and which clips show how it is heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiobag.choosing import highest
from audiobag.errors import UserError
from audiobag.pictures import Shown
from audiobag.report.clips import Load, Model, load_scored, look
from audiobag.report.collect import Run, collect
from audiobag.report.evidence import Labels, predictions
from audiobag.report.plots import Counts, class_counts
from audiobag.report.systems import System
from audiobag.store import Store

SECTIONS: Final = {
    "found": "Found: clips of the class with the highest F",
    "missed": "Missed: clips of the class with the lowest F",
    "mistaken": "False alarms: other clips with the highest F",
}
EACH: Final = 3


@dataclass(frozen=True)
class Explored:
    """A run with its eval set; the model is loaded when it is first asked for.

    Attributes:
        name: tells it apart.
        run: the run.
        store: its eval set.
        counts: how frequent the classes are.
        probability: F [N, K], of the final weights.
        positive: [N, K], the labels.
        load: makes a model of a checkpoint.
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
        """K names."""
        return self.run.classes.names

    @property
    def system(self) -> System:
        """The run as the report's pictures take it."""
        return System(self.name, (self.run,), {})

    @cached_property
    def model(self) -> Model:
        """The weights that were scored.

        Raises:
            UserError: their checkpoint is gone.
        """
        return load_scored(self.run, self.store, self.load)

    def clips(self, k: int) -> dict[str, list[int]]:
        """Return, for each of SECTIONS, up to three clips that tell of class k; none twice."""
        score, has = self.probability[:, k], self.positive[:, k]
        found = highest(score, has, EACH)
        rest = has.copy()
        rest[found] = False
        return {
            "found": found,
            "missed": highest(-score, rest, EACH),
            "mistaken": highest(score, ~has, EACH),
        }

    def look(self, rows: Sequence[int], k: int, why: str = "") -> list[Shown]:
        """Return clips as the model hears them, class k among the shown, `why` beside their ids.

        Raises:
            UserError: the checkpoint is gone.
        """
        return look(self.model, self.store, dict.fromkeys(rows, why), also=(k,), count=3)


def open_runs(folders: Sequence[Path], load: Load) -> list[Explored]:
    """Return one run, or two that were scored on the same clips and classes.

    Args:
        folders: of the runs.
        load: makes a model of a checkpoint.

    Raises:
        UserError: not one or two, not each one complete run, scored on different eval sets, or one that has no
            predictions or whose eval set is not at hand.
    """
    if len(folders) not in (1, 2):
        raise UserError(f"{len(folders)} folders are given; expected one run, or two to compare")
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
        raise UserError(f"{folders[0]} and {folders[-1]} were scored on different eval sets: explore them apart")
    return opened


def _one(folder: Path) -> Run:
    runs, _ = collect([folder])
    if len(runs) != 1:
        raise UserError(f"{folder} holds {len(runs)} runs: give the folder of one, such as {runs[0].directory.path}")
    return runs[0]


def _names(runs: Sequence[Run]) -> list[str]:
    paths = [run.directory.path for run in runs]
    if len({path.name for path in paths}) == len(paths):
        return [path.name for path in paths]
    return [f"{n}: {path.parent.name}/{path.name}" for n, path in enumerate(paths, 1)]


def order(opened: Sequence[Explored], by: str, find: str) -> list[int]:
    """Return the classes whose names contain `find`, sorted.

    Args:
        opened: one run, or two.
        by: name, clips (most first), AP (best first) or difference (of the second run; largest gain first).
        find: in any case.
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
    key = np.nan_to_num(keys[by], nan=np.inf)  # what has no AP stands last
    return sorted(
        (k for k in range(len(names)) if find.strip().casefold() in names[k]), key=lambda k: (key[k], names[k])
    )
