"""What the run beside a checkpoint knows of its weights: scores, their intervals, the best and worst classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiobag.errors import UserError
from audiobag.metrics import TaggingScores, tagging_scores
from audiobag.runs import ClassScores, RunDirectory
from audiobag.store import Store, open_store

SCORES = {"mAP": "mAP", "AUC": "AUC", "d_prime": "d'"}
_Z = 1.959964  # the 97.5 % point of the standard normal distribution
Intervals = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a checkpoint's weights; None or empty where it is not.

    Attributes:
        record: the run's metrics.json.
        scored: whether its scores are of these very weights.
        intervals: 95 % intervals of its scores.
        classes: its per_class.csv.
        missing: sentences on what is not there, and why.
    """

    record: Mapping[str, Any] | None
    scored: bool
    intervals: Intervals
    classes: ClassScores | None
    missing: tuple[str, ...]


def gather(
    checkpoint: Path, training: Mapping[str, Any], store: Store | None, replicates: int, advance: Callable[[], object]
) -> Evidence:
    """Return what the folder above the checkpoint's own knows.

    Args:
        checkpoint: RUN/checkpoints/NAME.ckpt.
        training: config, config_hash and step of the checkpoint.
        store: with the eval set's labels; None for no intervals.
        replicates: of the bootstrap; 0 for no intervals.
        advance: called after each replicate.
    """
    run = RunDirectory(checkpoint.resolve().parent.parent)
    record = run.metrics()
    if record is None or record.get("config_hash") != training["config_hash"]:
        return Evidence(None, False, {}, None, ("The run that made these weights is not complete: no scores.",))
    if not _are_scored(checkpoint, training, record):
        step = record["train"]["steps"]
        return Evidence(
            record, False, {}, None, (f"The run scored other weights than these (its training ended at step {step}).",)
        )
    missing: list[str] = []
    intervals: Intervals = {}
    if store is None:
        missing.append("No intervals: the eval set was not at hand.")
    elif replicates:
        video_id, probability = run.read_predictions()
        if np.array_equal(video_id, store.columns.video_id):
            intervals = bootstrap(probability, store.labels.dense(), replicates, advance)
        else:
            missing.append("No intervals: the eval set at hand is another than the one that was scored.")
    return Evidence(record, True, intervals, run.read_per_class(), tuple(missing))


def find_store(checkpoint: Path, config: Mapping[str, Any], given: Path | None) -> Store | None:
    """Return the eval set: the one given, or that of the run, seen from here or from a folder above the checkpoint.

    Raises:
        UserError: the one given is none.
    """
    if given is not None:
        return open_store(given)
    data = config.get("data", {})
    root = str(data.get("root", "")).replace("${paths.data}", str(config.get("paths", {}).get("data", "data")))
    for base in (Path(), *checkpoint.resolve().parents):
        path = base / root / f"{data.get('test', 'eval')}.h5"
        if path.is_file():
            return open_store(path)
    return None


def bootstrap(
    probability: NDArray[np.float32], positive: NDArray[np.bool_], replicates: int, advance: Callable[[], object]
) -> dict[str, tuple[float, float]]:
    """Return score -+ 1.96 s, s being the score's deviation when the N clips are drawn anew with replacement.

    Not the replicates' own percentiles: a clip that is drawn twice counts as two hits at one threshold, which lifts
    the AP of rare classes, so that the percentiles lie above the score itself. Intervals end where the score does,
    at 0 and 1 (d' has no ends).

    Args:
        probability: [N, K].
        positive: [N, K].
        replicates: how often to draw.
        advance: called after each.
    """
    P, Y = torch.from_numpy(probability), torch.from_numpy(positive)
    generator = torch.Generator().manual_seed(0)
    drawn: list[TaggingScores] = []
    for _ in range(replicates):
        rows = torch.randint(len(P), (len(P),), generator=generator)
        drawn.append(tagging_scores(P[rows], Y[rows]))
        advance()
    scores = tagging_scores(P, Y)
    intervals = {}
    for name in SCORES:
        value = getattr(scores, name)
        half = _Z * float(np.std([getattr(d, name) for d in drawn], ddof=1))
        if math.isfinite(value) and math.isfinite(half):
            low, high = (-math.inf, math.inf) if name == "d_prime" else (0.0, 1.0)
            intervals[name] = (max(value - half, low), min(value + half, high))
    return intervals


def _are_scored(checkpoint: Path, training: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    if training["config"].get("select") == "best":
        return checkpoint.name == "best.ckpt"
    try:
        return bool(training["step"] == record["train"]["steps"])
    except KeyError as error:
        raise UserError(f"the metrics.json beside {checkpoint} has no {error}: it is no training run's") from error
