"""Scores of a checkpoint's weights, read from its run: means, intervals, and the scores of each class."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiobag.data.store import Store, open_store
from audiobag.metrics import TaggingScores, tagging_scores
from audiobag.report.statistics import RANGES, bootstrap_weights, interval
from audiobag.runs import ClassScores, RunDirectory
from audiobag.runs.eval_set import find_eval_store
from audiobag.utils.errors import InputError

SCORES = {"mAP": "mAP", "AUC": "AUC", "d_prime": "d'"}
Intervals = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The scores of a checkpoint's weights. What is not known is None or empty.

    Attributes:
        record: content of the run's metrics.json.
        scored: True if the run scored exactly these weights.
        intervals: 95 % intervals of the scores.
        classes: content of the run's per_class.csv.
        missing: sentences that say what is missing and why.
        command: the command that trained the weights.
    """

    record: Mapping[str, Any] | None = None
    scored: bool = False
    intervals: Intervals = field(default_factory=dict)
    classes: ClassScores | None = None
    missing: tuple[str, ...] = ()
    command: str | None = None


def gather(
    checkpoint: Path, training: Mapping[str, Any], store: Store | None, replicates: int, advance: Callable[[], object]
) -> Evidence:
    """Return the scores that the run of a checkpoint recorded.

    Args:
        checkpoint: RUN/checkpoints/NAME.ckpt.
        training: `config_hash` and `step` of the checkpoint.
        store: the eval set with its labels; None for no intervals.
        replicates: bootstrap replicates; 0 for no intervals.
        advance: called after each replicate.
    """
    run = RunDirectory(checkpoint.resolve().parent.parent)
    record = run.metrics()
    if record is None or "train" not in record or record.get("config_hash") != training["config_hash"]:
        return Evidence(missing=("The run that made these weights is not complete: no scores.",))
    try:
        scored = run.scored_checkpoint()
    except InputError as error:
        return Evidence(record, missing=(f"No scores: {error}.",))
    steps = record["train"]["steps"]
    of_other_step = scored != run.best_checkpoint and training["step"] != steps
    if of_other_step or not scored.samefile(checkpoint):
        why = f"The run scored other weights than these (its training ended at step {steps})."
        return Evidence(record, missing=(why,))
    missing: list[str] = []
    intervals: Intervals = {}
    if store is None:
        missing.append("No intervals: the eval set was not found.")
    elif replicates:
        video_id, probability = run.read_predictions()
        if np.array_equal(video_id, store.columns.video_id):
            intervals = bootstrap(probability, store.labels.dense(), replicates, advance)
        else:
            missing.append("No intervals: the store is not the eval set that was scored.")
    command = shlex.join(["audiobag-train", *run.config().overrides])
    return Evidence(record, True, intervals, run.read_per_class(), tuple(missing), command)


def find_store(checkpoint: Path, config: Mapping[str, Any], given: Path | None) -> Store | None:
    """Return the given store, or else the eval set of the checkpoint's run; None if that is not found.

    Args:
        checkpoint: a checkpoint.
        config: the configuration of its training.
        given: path of a store, or None.

    Raises:
        ValueError: there is no store at `given`.
    """
    if given is not None:
        return open_store(given)
    try:
        return find_eval_store(config, checkpoint)
    except InputError:
        return None


def bootstrap(
    probability: NDArray[np.float32], positive: NDArray[np.bool_], replicates: int, advance: Callable[[], object]
) -> dict[str, tuple[float, float]]:
    """Return the 95 % intervals of mAP, AUC and d' when the clips are drawn again with replacement.

    The clips are drawn as for reports; see `interval` and `bootstrap_weights`. A score without an interval is left out.

    Args:
        probability: [N, K].
        positive: [N, K].
        replicates: number of replicates.
        advance: called after each replicate.
    """
    P, Y = torch.from_numpy(probability), torch.from_numpy(positive)
    drawn: list[TaggingScores] = []
    for weights in bootstrap_weights(len(P), replicates):
        for weight in weights.T:
            rows = torch.from_numpy(np.repeat(np.arange(len(P)), weight.astype(np.int64)))
            drawn.append(tagging_scores(P[rows], Y[rows]))
            advance()
    scores = tagging_scores(P, Y)
    found = {
        name: interval(getattr(scores, name), np.array([getattr(one, name) for one in drawn]), *RANGES[name])
        for name in SCORES
    }
    return {name: ends for name, ends in found.items() if ends is not None}
