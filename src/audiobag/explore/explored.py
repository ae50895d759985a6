"""The data behind the page: scores of the classes, and clips that show how a class is recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import Store
from audiobag.pictures.listening import Listening, listening_of
from audiobag.report.clip_selection import highest, recognised
from audiobag.report.clips import Load, Model, load_scored
from audiobag.report.collect import Run, collect
from audiobag.report.evidence import Labels, predictions
from audiobag.report.plots import Counts, class_counts
from audiobag.report.systems import choose, group
from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from audiobag.bags import BagPrediction

_EACH: Final = 3


@dataclass
class Explored:
    """A run. The model is loaded when it is first used.

    Attributes:
        name: name of the run, distinct from the others'.
        run: the run.
        store: its eval set.
        probability: F [N, K], with the scored weights.
        load: loads the model of a checkpoint.
    """

    name: str
    run: Run
    store: Store
    probability: NDArray[np.float32]
    load: Load
    _lock: Lock = field(default_factory=Lock, repr=False)

    @cached_property
    def _model(self) -> Model:
        return load_scored(self.run, self.store, self.load)

    def predict(self, rows: Sequence[int]) -> BagPrediction:
        """Return the predictions for clips of the store. Threads may call it.

        Raises:
            ValueError: the checkpoint was deleted.
        """
        offsets = self.store.columns.offsets
        with self._lock:
            return self._model.predict([np.asarray(self.store.frames[offsets[i] : offsets[i + 1]]) for i in rows])


@dataclass(frozen=True)
class Opened:
    """Runs that were scored on the same eval set.

    Attributes:
        runs: at least one.
        store: the eval set.
        positive: its labels [N, K].
        counts: number of clips of each class.
        heard: where the clips can be heard.
        first: the run on display at first, and the one that it is compared with.
        truth: for each pair of a clip and a class with strong labels, [T], the frames in which the class is heard.
    """

    runs: tuple[Explored, ...]
    store: Store
    positive: NDArray[np.bool_]
    counts: Counts
    heard: Listening
    first: tuple[int, int]
    truth: Mapping[tuple[int, int], NDArray[np.bool_]]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.store.description.class_names

    def clips(self, k: int, by: int) -> dict[str, list[int]]:
        """Return up to three clips of class k: found, missed and mistaken ones.

        Found are clips of the class in which it is `recognised`, highest F first; missed are its other clips, lowest F
        first; mistaken are clips without the label, highest F first.

        Args:
            k: the class.
            by: the run whose F counts.
        """
        probability, has = self.runs[by].probability, self.positive[:, k]
        score, likely = probability[:, k], recognised(probability, k)
        return {
            "found": highest(score, has & likely, _EACH),
            "missed": highest(-score, has & ~likely, _EACH),
            "mistaken": highest(score, ~has, _EACH),
        }


def open_runs(
    folders: Sequence[Path], load: Load, *, audio_url: str | None = None, strong: str | Path | None = None
) -> Opened:
    """Open the runs at and below some folders, which were scored on the same eval set.

    If each folder is a run, they are in the order of the folders, and the last is compared with the first. Otherwise
    the best is first, and is compared with average pooling.

    Args:
        folders: folders of runs or of sweeps.
        load: loads the model of a checkpoint.
        audio_url: address of the sound of a clip, see `Listening`; None for AudioSet's videos.
        strong: strong labels of the eval set, see `audiobag.data.strong.strong_labels`; None for those that the
            store has.

    Raises:
        ValueError: there is no complete run, predictions or the eval set are missing, or the eval sets differ.
    """
    runs, _ = collect(folders)
    runs, first = _ordered(runs, folders)
    labels = Labels()
    store = labels.scored(runs[0])
    for other in runs:
        if labels.scored(other).content_sha256 != store.content_sha256:
            one, two = runs[0].directory.path, other.directory.path
            raise InputError(f"{one} and {two} were scored on different eval sets: explore them separately")
    opened = [
        Explored(name, run, store, predictions(run, store, averaged=False), load)
        for name, run in zip(_names(runs), runs, strict=True)
    ]
    truth = _truth(store, strong)
    heard = listening_of(store, audio_url)
    return Opened(tuple(opened), store, store.labels.dense(), class_counts(runs[0].classes), heard, first, truth)


def _ordered(runs: Sequence[Run], folders: Sequence[Path]) -> tuple[list[Run], tuple[int, int]]:
    """Return the runs in the order of the page, and those that it compares at first."""
    of = {run.directory.path: run for run in runs}
    given = [of[path] for folder in folders if (path := folder.resolve()) in of]
    if len(given) == len(runs):
        return given, (len(given) - 1, 0)
    ranked = sorted(runs, key=lambda run: -float(run.metrics["test"]["mAP"] or 0))
    plain = {run.directory.path for run in choose(group(runs)[0], None).runs}
    against = next((i for i, run in enumerate(ranked) if i and run.directory.path in plain), 1)
    return ranked, (0, min(against, len(ranked) - 1))


def _names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: of its system and its seed, or else its folder."""
    systems, repeats = group(runs)
    if repeats or len(runs) == 1:
        paths = [run.directory.path for run in runs]
        unique = len({path.name for path in paths}) == len(paths)
        return [path.name if unique else f"{path.parent.name}/{path.name}" for path in paths]
    named = {
        run.directory.path: system.label + (f", seed {run.seed}" if len(system.runs) > 1 else "")
        for system in systems
        for run in system.runs
    }
    return [named[run.directory.path] for run in runs]


def _truth(store: Store, strong: str | Path | None) -> dict[tuple[int, int], NDArray[np.bool_]]:
    from audiobag.data.strong import has_strong_labels, strong_labels

    if strong is None and not has_strong_labels(store):
        return {}
    found = strong_labels(store, strong)
    rows, truth = found.rows, found.truth
    return {
        (int(rows[clip]), int(label)): shows
        for clip, label, shows in zip(truth.clip, truth.label, np.asarray(truth.shows), strict=True)
    }
