"""Means with intervals, and how sure a difference is: NumPy and SciPy alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

CONFIDENCE = 0.95
_BLOCK = 200  # replicates at a time: their weights for AudioSet's 20,371 clips take 16 MB


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n values; what needs more than one value is None for one.

    Attributes:
        n: how many values.
        mean: of them.
        deviation: standard deviation, over n - 1.
        low: lower end of the interval.
        high: upper end.
    """

    n: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return mean, standard deviation s and the interval mean -+ t s / sqrt(n); None of no values.

    t is the 97.5 % point of Student's distribution with n - 1 degrees of freedom.
    """
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(1, mean)
    deviation = float(np.std(values, ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Estimate(n, mean, deviation, mean - half, mean + half)


def interval(replicates: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of a bootstrap's replicates."""
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def bootstrap_classes(gain: NDArray[np.float64], replicates: int = 10_000) -> tuple[float, float]:
    """Return the interval of the mean gain [K] in AP when the classes are drawn anew, with replacement.

    The gain of a class is of two systems on that class, so the drawing is paired.
    """
    result = stats.bootstrap(
        (gain,), np.mean, n_resamples=replicates, confidence_level=CONFIDENCE, method="percentile", batch=1000, rng=0
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def clip_weights(clips: int, replicates: int) -> Iterator[NDArray[np.float32]]:
    """Yield blocks [N, R] of how often each bootstrap replicate drew each clip, N draws with replacement.

    The same numbers every time, so that all systems are scored on the same draws: the bootstrap is paired.
    """
    rng = np.random.default_rng(0)
    for start in range(0, replicates, _BLOCK):
        drawn = [
            np.bincount(rng.integers(clips, size=clips), minlength=clips)
            for _ in range(min(_BLOCK, replicates - start))
        ]
        yield np.stack(drawn, axis=1).astype(np.float32)


def weighted_average_precision(
    score: NDArray[np.floating], positive: NDArray[np.bool_], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return AP [R] of one class for R sets of clip weights at once; NaN where no positive has weight.

    With u_1 < .. < u_m the distinct scores of the positives, and W_ge, P_ge the weight of the clips, of the
    positives, that score u_j or more,

        AP_r = sum_j (P_ge,r(u_j) - P_ge,r(u_j+1)) / P_r * P_ge,r(u_j) / W_ge,r(u_j),

    which is scikit-learn's step-wise area, ties being one step. No clip need be sorted: a binary search among
    the few u_j says in which of their m + 1 bins each clip falls, and a sparse 0/1 matrix [m + 1, N] times the
    weights [N, R] adds up every bin for every replicate, in O(N R) and O(m R) of memory.

    Args:
        score: [N].
        positive: [N], true where the clip has the class.
        weights: [N, R], whole numbers below 2^24 in sum, which fp32 adds exactly.
    """
    u = np.unique(score[positive])
    bins = np.searchsorted(u, score, side="right")  # j for u_j <= score < u_j+1; 0 below all positives
    W = _at_or_above(bins, weights, len(u))
    P = _at_or_above(bins[positive], weights[positive], len(u))
    if not len(u):
        return np.full(weights.shape[1], np.nan)
    step = -np.diff(P, axis=0, append=0)
    precision = np.divide(P, W, out=np.zeros_like(P), where=W > 0)
    total = P[0]
    AP: NDArray[np.float64] = np.full(len(total), np.nan)
    np.divide((step * precision).sum(axis=0), total, out=AP, where=total > 0)
    return AP


def _at_or_above(bins: NDArray[np.integer], weights: NDArray[np.float32], m: int) -> NDArray[np.float64]:
    """Return [m, R], the weight in bins j, j + 1 .. m, for j from 1."""
    n = len(bins)
    ones = np.ones(n, np.float32)
    member = sparse.csc_array((ones, bins.astype(np.int32), np.arange(n + 1, dtype=np.int32)), shape=(m + 1, n))
    per_bin = (member @ weights).astype(np.float64)
    return np.ascontiguousarray(per_bin[:0:-1].cumsum(axis=0)[::-1])


def bootstrap_map(
    probability: NDArray[np.floating], positive: NDArray[np.bool_], replicates: int
) -> NDArray[np.float64]:
    """Return mAP [R] when the clips are drawn anew R times, with replacement.

    A replicate's mAP is the mean over the classes of which it drew a positive and a negative.

    Args:
        probability: [N, K].
        positive: [N, K].
        replicates: R.
    """
    columns = np.ascontiguousarray(probability.T)
    labels = np.ascontiguousarray(positive.T)
    out = []
    for weights in clip_weights(len(probability), replicates):
        drawn = weights.shape[0]
        total, scored = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for score, label in zip(columns, labels, strict=True):
            AP = weighted_average_precision(score, label, weights)
            AP[weights[label].sum(axis=0) == drawn] = np.nan
            good = np.isfinite(AP)
            total[good] += AP[good]
            scored += good
        out.append(total / np.maximum(scored, 1))
    return np.concatenate(out)
