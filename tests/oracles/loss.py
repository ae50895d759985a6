"""Losses in float64, one clip, frame and class after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.bool_]


def cross_entropy(p: float, y: bool) -> float:
    """Return -log p for a positive and -log(1 - p) for a negative, at most 100."""
    return -max(np.log(p if y else 1 - p), -100.0) if p not in (0, 1) else 100.0 * (p != y)


def clip_bce(clip: Array, labels: Labels) -> float:
    """Mean over clips and classes."""
    return float(np.mean([cross_entropy(p, y) for p, y in zip(clip.ravel(), labels.ravel())]))


def frame_bce(frame: Array, labels: Labels, lengths: NDArray[np.int64]) -> float:
    """Mean over clips of the mean over the real frames of a clip and the classes."""
    of_clips = [
        np.mean([clip_bce(frame[n, t], labels[n]) for t in range(length)])  # each frame has the clip's labels
        for n, length in enumerate(lengths)
    ]
    return float(np.mean(of_clips))
