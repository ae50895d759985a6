"""Localisation scores in float64 from their definitions, clip by clip and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles.metrics import auc, average_precision

Clip = tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]
"""Scores, truth and what is known of it, each [T, K]."""


NAMES = (
    *("frame_mAP", "frame_AUC", "segment_F1", "present_mAP", "present_AUC"),
    *("within_AUC", "pointing", "mass", "share"),
)


def best_f1(score: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """The largest F1 of all thresholds."""
    found = [score >= threshold for threshold in set(score.tolist())]
    return max(2 * (f & positive).sum() / (f.sum() + positive.sum()) for f in found)


def per_class(clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
    """Return each score [K]; NaN for a class that cannot be scored."""
    K = clips[0][0].shape[1]
    out = {name: np.full(K, np.nan) for name in NAMES}
    for k in range(K):
        frames = [(s[known[:, k], k], y[known[:, k], k]) for s, y, known in clips]
        score, truth = (np.concatenate(parts) for parts in zip(*frames, strict=True))
        if 0 < truth.sum() < len(truth):
            out["frame_mAP"][k], out["frame_AUC"][k] = average_precision(score, truth), auc(score, truth)
            out["segment_F1"][k] = best_f1(score, truth)
        partial = [(s, y) for s, y in frames if 0 < y.sum() < len(y)]
        if not partial:
            continue
        score, truth = (np.concatenate(parts) for parts in zip(*partial, strict=True))
        out["present_mAP"][k], out["present_AUC"][k] = average_precision(score, truth), auc(score, truth)
        out["within_AUC"][k] = np.mean([auc(s, y) for s, y in partial])
        out["pointing"][k] = np.mean([y[s == s.max()].mean() for s, y in partial])
        out["mass"][k] = np.mean([s[y].sum() / s.sum() if s.sum() > 0 else y.mean() for s, y in partial])
        out["share"][k] = np.mean([y.mean() for _, y in partial])
    return out
