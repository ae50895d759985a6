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


def focal_bce(clip: Array, labels: Labels, gamma: float) -> float:
    """Cross-entropy of each clip and class, by how far the probability is from the label to the power of gamma."""
    losses = []
    for n, k in np.ndindex(clip.shape):
        right = clip[n, k] if labels[n, k] else 1 - clip[n, k]
        losses.append(-((1 - right) ** gamma) * np.log(right))
    return float(np.mean(losses))


def inconsistency(clip: Array, pairs: list[tuple[int, int]]) -> float:
    """Mean over clips and pairs (class, class above it) of the square by which the class is the more likely one."""
    return float(np.mean([max(row[own] - row[above], 0.0) ** 2 for row in clip for own, above in pairs]))


def asymmetric_bce(clip: Array, labels: Labels, positive: float, negative: float, margin: float) -> float:
    """Focal loss with exponents of its own for present and absent classes; an absent one is shifted by the margin."""
    losses = []
    for n, k in np.ndindex(clip.shape):
        p = clip[n, k]
        if labels[n, k]:
            losses.append(-((1 - p) ** positive) * np.log(p))
        else:
            shifted = max(p - margin, 0.0)
            losses.append(-(shifted**negative) * np.log(1 - shifted))
    return float(np.mean(losses))
