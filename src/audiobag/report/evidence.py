"""Statistics from predictions and labels: bootstrap replicates, calibration, precision and recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import Store
from audiobag.pictures.curves import precision_recall_curve
from audiobag.report.collect import SCORED, Run
from audiobag.report.statistics import bootstrap_map
from audiobag.report.systems import System
from audiobag.runs.eval_set import find_eval_store
from audiobag.utils.errors import InputError

BINS = 10
RECALL = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How probabilities compare with frequencies, over all pairs of a clip and a class.

    Attributes:
        pairs: [10], number of pairs whose probability lies in 0 to 0.1, 0.1 to 0.2 and so on.
        confidence: [10], mean probability of these pairs; NaN without pairs.
        frequency: [10], share of these pairs in which the clip has the class; NaN without pairs.
    """

    pairs: NDArray[np.float64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]

    @property
    def error(self) -> float:
        r"""Expected calibration error, $\sum_b \frac{n_b}{n} |\mathrm{frequency}_b - \mathrm{confidence}_b|$."""
        return float(np.nansum(self.pairs * np.abs(self.frequency - self.confidence)) / self.pairs.sum())


@dataclass(frozen=True, slots=True)
class Evidence:
    """Statistics of one system, averaged over its seeds. Calibration and curves are those of the final weights.

    Attributes:
        mAP: the bootstrap replicates [R] of each of test and test_averaged that all its runs have.
        calibration: over all clips and classes.
        precision: for each class asked for, the precision [101] at recall 0, 0.01, ..., 1.
    """

    mAP: Mapping[str, NDArray[np.float64]]  # noqa: N815 - the field's name
    calibration: Calibration
    precision: Mapping[int, NDArray[np.float64]]


@dataclass
class Labels:
    """Opens the eval sets of runs, each once."""

    _opened: dict[str, Store] = field(default_factory=dict)

    def scored(self, run: Run) -> Store:
        """Return the store that a run was scored on.

        Raises:
            ValueError: it is not found, or its content has changed; see `find_eval_store`.
        """
        name = (run.config.get("data") or {}).get("test", "eval")
        checksum = run.stores.get(name)
        if checksum is None:
            raise InputError(f"{run.directory.path} does not record the checksum of its {name}")
        if checksum not in self._opened:
            self._opened[checksum] = find_eval_store(run.config, run.directory.path, checksum)
        return self._opened[checksum]


def examine(
    systems: Sequence[System],
    labels: Labels,
    classes: Sequence[int],
    replicates: int,
    advance: Callable[[], object] = lambda: None,
) -> tuple[dict[str, Evidence], list[str]]:
    """Return the evidence of each system by name, and a sentence for each system without evidence.

    The predictions of one run are in memory at a time.

    Args:
        systems: to examine.
        labels: opens the eval sets.
        classes: indices of the classes whose precision-recall curves are wanted.
        replicates: number of bootstrap replicates; 0 for none.
        advance: called after each run.
    """
    found, missing = {}, []
    for system in systems:
        try:
            found[system.name] = _examine(system, labels, classes, replicates, advance)
        except InputError as error:
            missing.append(f"{system.name} has no clip bootstrap, calibration and precision-recall: {error}.")
    return found, missing


def _examine(
    system: System, labels: Labels, classes: Sequence[int], replicates: int, advance: Callable[[], object]
) -> Evidence:
    store = labels.scored(system.runs[0])  # all runs of a system have the same stores
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
    """Return the predictions [N, K] of a run for the clips of its eval set.

    Raises:
        ValueError: there are no predictions, or they belong to other clips or classes.
    """
    video_id, probability = run.directory.read_predictions(averaged)
    if not np.array_equal(video_id, store.columns.video_id) or probability.shape[1] != store.classes:
        raise InputError(f"{run.directory.predictions} has other clips or classes than {store.path}")
    return probability


def tally(probability: NDArray[np.float32], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return [3, 10]: for each tenth of the probability, the number of pairs, their total probability, and positives.

    Args:
        probability: [N, K].
        positive: [N, K].
    """
    b = np.minimum((probability * BINS).astype(np.int8), BINS - 1).ravel()
    weights = (None, probability.ravel(), positive.ravel())
    return np.stack([np.bincount(b, w, minlength=BINS).astype(np.float64) for w in weights])


def calibration(tallied: NDArray[np.float64]) -> Calibration:
    """Return the calibration for the result of `tally`, or for a sum of results."""
    pairs, confidence, frequency = tallied
    some = np.where(pairs > 0, pairs, np.nan)
    return Calibration(pairs, confidence / some, frequency / some)


def precision_at_recall(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return [101], the precision at the highest threshold with a recall of at least 0, 0.01, ..., 1.

    At recall 0 it is the precision at the first hit. All are NaN without positive clips.

    Args:
        score: [N].
        positive: [N].
    """
    precision, hits = precision_recall_curve(score, positive)
    if not len(hits) or hits[-1] == 0:
        return np.full(len(RECALL), np.nan)
    wanted = np.maximum(np.ceil(RECALL * hits[-1] - 1e-9), 1)
    reached: NDArray[np.float64] = precision[np.searchsorted(hits, wanted)]
    return reached
