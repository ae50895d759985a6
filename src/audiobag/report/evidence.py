"""What predictions say once the labels stand beside them: bootstrap replicates, calibration, precision and recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiobag.errors import UserError
from audiobag.report.collect import SCORED, Run
from audiobag.report.statistics import bootstrap_map
from audiobag.report.systems import System
from audiobag.store import Store, open_store

BINS = 10
RECALL = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often what was said with some probability was so, over all pairs of clip and class.

    Attributes:
        pairs: [10], how many pairs were given a probability in 0..0.1, 0.1..0.2 and so on.
        confidence: [10], their mean probability; NaN of none.
        frequency: [10], the share of them in which the clip has the class.
    """

    pairs: NDArray[np.float64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]

    @property
    def error(self) -> float:
        """ECE = sum_b n_b / n |frequency_b - confidence_b|."""
        return float(np.nansum(self.pairs * np.abs(self.frequency - self.confidence)) / self.pairs.sum())


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one system, the mean over its seeds; calibration and curves are of the final weights.

    Attributes:
        mAP: for each of test and test_averaged that all its runs have, the bootstrap's replicates [R].
        calibration: over all clips and classes.
        precision: for each class asked for, the precision [101] at recall 0, 0.01 .. 1.
    """

    mAP: Mapping[str, NDArray[np.float64]]  # noqa: N815 - the field's name
    calibration: Calibration
    precision: Mapping[int, NDArray[np.float64]]


@dataclass
class Labels:
    """Finds the store that a run names by its checksum, and opens each once."""

    _opened: dict[str, Store] = field(default_factory=dict)

    def scored(self, run: Run) -> Store:
        """Return the store that the run was scored on: in its data.root, seen from here or from a folder above the run.

        Raises:
            UserError: it is not there, or its content is another by now.
        """
        data = run.config.get("data", {})
        name, root = data.get("test", "eval"), data.get("root")
        checksum = run.stores.get(name)
        if checksum is None or root is None:
            raise UserError(f"{run.directory.path} does not say where its {name} lies")
        if checksum not in self._opened:
            places = [base / root / f"{name}.h5" for base in (Path(), *run.directory.path.parents)]
            store = open_store(next((p for p in places if p.is_file()), places[0]))
            if store.content_sha256 != checksum:
                raise UserError(f"{store.path} is not the {name} that was scored: its checksum is another")
            self._opened[checksum] = store
        return self._opened[checksum]


def examine(
    systems: Sequence[System],
    labels: Labels,
    classes: Sequence[int],
    replicates: int,
    advance: Callable[[], object] = lambda: None,
) -> tuple[dict[str, Evidence], list[str]]:
    """Return the evidence of each system by name, and a sentence for each that has none.

    One run's predictions are in memory at a time.

    Args:
        systems: to look at.
        labels: where the truth comes from.
        classes: those whose precision-recall curve is wanted.
        replicates: of the bootstrap; 0 for none.
        advance: called after each run.
    """
    found, missing = {}, []
    for system in systems:
        try:
            found[system.name] = _examine(system, labels, classes, replicates, advance)
        except UserError as error:
            missing.append(f"{system.name} is without clip bootstrap, calibration and precision-recall: {error}.")
    return found, missing


def _examine(
    system: System, labels: Labels, classes: Sequence[int], replicates: int, advance: Callable[[], object]
) -> Evidence:
    store = labels.scored(system.runs[0])  # the same for all: what a system is includes its stores
    positive = store.labels.dense()
    available = [s for s in SCORED if replicates and all(run.metrics.get(s) for run in system.runs)]
    replicated: dict[str, list[NDArray[np.float64]]] = {scored: [] for scored in available}
    tallies, curves = [], []
    for run in system.runs:
        probability = predictions(run, store, averaged=False)
        tallies.append(tally(probability, positive))
        curves.append({k: precision_at_recall(probability[:, k], positive[:, k]) for k in classes})
        for scored in available:
            if scored == "test_averaged":
                probability = predictions(run, store, averaged=True)
            replicated[scored].append(bootstrap_map(probability, positive, replicates))
        advance()
    return Evidence(
        {scored: np.mean(values, axis=0) for scored, values in replicated.items()},
        calibration(np.sum(tallies, axis=0)),
        {k: np.mean([c[k] for c in curves], axis=0) for k in classes},
    )


def predictions(run: Run, store: Store, averaged: bool) -> NDArray[np.float32]:
    """Return what a run said of the clips of its scored store, [N, K].

    Raises:
        UserError: there are no predictions, or they are of other clips or classes.
    """
    video_id, probability = run.directory.read_predictions(averaged)
    if not np.array_equal(video_id, store.columns.video_id) or probability.shape[1] != store.classes:
        raise UserError(f"{run.directory.predictions} is not of the clips and classes of {store.path}")
    return probability


def tally(probability: NDArray[np.float32], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return [3, 10]: pairs, sum of probability and positives in each tenth of the probability."""
    b = np.minimum((probability * BINS).astype(np.int8), BINS - 1).ravel()
    weights = (None, probability.ravel(), positive.ravel())
    return np.stack([np.bincount(b, w, minlength=BINS).astype(np.float64) for w in weights])


def calibration(tallied: NDArray[np.float64]) -> Calibration:
    """Return the calibration of what `tally` counted."""
    pairs, confidence, frequency = tallied
    some = np.where(pairs > 0, pairs, np.nan)
    return Calibration(pairs, confidence / some, frequency / some)


def precision_at_recall(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the precision [101] at the highest threshold whose recall is at least 0, 0.01 .. 1; NaN of no positive.

    Tied clips pass the threshold together.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)  # the last of each tie
    hits = np.cumsum(positive[order])[ends]
    if not len(hits) or hits[-1] == 0:
        return np.full(len(RECALL), np.nan)
    wanted = np.maximum(np.ceil(RECALL * hits[-1] - 1e-9), 1)  # at recall 0, the first that is found
    reached: NDArray[np.float64] = (hits / (ends + 1))[np.searchsorted(hits, wanted)]
    return reached
