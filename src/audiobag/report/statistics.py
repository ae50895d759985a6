"""Means with confidence intervals over seeds, clips and classes. Needs NumPy and SciPy, not torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "mAP": (0.0, 1.0),
    "AUC": (0.0, 1.0),
    "d_prime": (-math.inf, math.inf),
}
"""The lowest and the highest value of each score."""
CLASS_REPLICATES: Final = 10_000
_BLOCK = 200  # replicates at a time: their weights for AudioSet's 20,371 clips take 16 MB
_UPPER = 0.975  # of intervals with 95 % confidence

Ends = tuple[float, float] | None
"""Lower and upper end of an interval; None if there is none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n values. Attributes that need two values or more are None for one.

    Attributes:
        n: number of values.
        mean: their mean.
        deviation: standard deviation, with n - 1 in the denominator.
        low: lower end of the interval of the mean.
        high: upper end.
    """

    n: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> Ends:
        """The interval of the mean."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(values: Sequence[float], low: float = -math.inf, high: float = math.inf) -> Estimate | None:
    r"""Return mean, standard deviation and confidence interval of the mean; None without values.

    The interval of a score without bounds is

    $$\bar{x} \pm t_{n-1} \, s / \sqrt{n},$$

    with the standard deviation $s$ and the 97.5 % point $t_{n-1}$ of Student's t distribution with $n - 1$ degrees of
    freedom. That of a score with bounds has this width on the logit scale, see `within`.

    Args:
        values: one per seed.
        low: lowest possible value.
        high: highest possible value.
    """
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(1, mean)
    deviation = float(np.std(values, ddof=1))
    half = float(special.stdtrit(n - 1, _UPPER)) * deviation / math.sqrt(n)
    return Estimate(n, mean, deviation, *within(mean, half, low, high))


def excludes_zero(ends: Ends) -> bool:
    """Return whether there is an interval of a difference, and 0 is not in it."""
    return ends is not None and not ends[0] <= 0 <= ends[1]


def over_seeds(ours: Mapping[int, float], theirs: Mapping[int, float]) -> tuple[Ends, int]:
    """Return the interval of the mean difference of runs with the same seed, and the number of these seeds.

    Args:
        ours: a score by seed.
        theirs: the score that differences are taken to.
    """
    shared = [seed for seed in ours if seed in theirs]
    found = estimate([ours[seed] - theirs[seed] for seed in shared])
    return None if found is None else found.interval, len(shared)


def within(value: float, half: float, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
    r"""Return the interval value ± half or, for a score with bounds, an interval that stays between them.

    With the bounds 0 and 1, and the logit $\operatorname{logit}(x) = \log (x / (1 - x))$, whose derivative is
    $1 / (x (1 - x))$, it is

    $$\operatorname{logit}^{-1} \left( \operatorname{logit}(x) \pm \frac{h}{x (1 - x)} \right),$$

    which is $x \pm h$ where $h$ is small. At a bound, the interval is the bound alone.

    Args:
        value: x.
        half: h, half the width of the interval without bounds.
        low: lowest possible value.
        high: highest possible value.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return value - half, value + half
    x = (value - low) / (high - low)
    if not 0 < x < 1:
        return value, value
    width = half / (high - low) / (x * (1 - x))
    ends = special.expit(special.logit(x) + np.array([-width, width]))
    return float(low + ends[0] * (high - low)), float(low + ends[1] * (high - low))


def interval(value: float, replicates: NDArray[np.float64], low: float = -math.inf, high: float = math.inf) -> Ends:
    r"""Return the bootstrap confidence interval of a score or of a difference of scores.

    $$\hat{\theta} \pm 1.96 \, s, \qquad s^2 = \frac{1}{R - 1} \sum_r (\theta_r - \bar{\theta})^2,$$

    with the score $\hat{\theta}$ and its replicates $\theta_r$; for a score with bounds, on the logit scale, see
    `within`.

    The percentiles of the replicates are not used, because the replicates of mAP are biased upwards: a clip that is
    drawn twice counts as two hits at one threshold, which raises the AP of rare classes.

    Args:
        value: the score.
        replicates: [R].
        low: lowest possible value.
        high: highest possible value.

    Returns:
        Lower and upper end; None if there are fewer than two replicates, or if a value is not finite.
    """
    if len(replicates) < 2 or not (math.isfinite(value) and np.isfinite(replicates).all()):
        return None
    return within(value, float(special.ndtri(_UPPER)) * float(np.std(replicates, ddof=1)), low, high)


def bootstrap_weights(n: int, replicates: int) -> Iterator[NDArray[np.float32]]:
    """Yield blocks [n, R] that say how often each replicate draws each of n items, in n draws with replacement.

    The weights are the same in each call, so all systems are scored on the same draws and differences are paired.

    Args:
        n: number of clips, or of classes.
        replicates: number of replicates, over all blocks.
    """
    rng = np.random.default_rng(0)
    for start in range(0, replicates, _BLOCK):
        drawn = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(min(_BLOCK, replicates - start))]
        yield np.stack(drawn, axis=1).astype(np.float32)


def bootstrap_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [R], the mean of values when they are drawn again with replacement, with R = `CLASS_REPLICATES`.

    Args:
        values: [K], such as the difference in AP between two systems for each class.
    """
    n = len(values)
    return np.concatenate([values @ weights / n for weights in bootstrap_weights(n, CLASS_REPLICATES)])


def bootstrap_pairs(
    values: NDArray[np.float64],
    clip: NDArray[np.int64],
    label: NDArray[np.int64],
    clips: int,
    replicates: int,
) -> NDArray[np.float64]:
    """Return [R], the mean over classes of the mean over pairs, when the clips are drawn again with replacement.

    A class of which a replicate draws no pair is left out of its mean; NaN if there is no other class.

    Args:
        values: score [Q] of each pair of a clip and a class.
        clip: clip [Q] of each pair, 0 to `clips` - 1.
        label: class [Q] of each pair.
        clips: N.
        replicates: R.
    """
    out = []
    columns = np.arange(len(label))
    shape = (int(label.max(initial=-1)) + 1, len(label))
    count: Any = sparse.csr_array((np.ones(len(values)), (label, columns)), shape=shape)
    total: Any = sparse.csr_array((values, (label, columns)), shape=shape)
    for weights in bootstrap_weights(clips, replicates):
        drawn = weights[clip].astype(np.float64)
        pairs: NDArray[np.float64] = count @ drawn
        mean: NDArray[np.float64] = np.divide(total @ drawn, pairs, out=np.zeros_like(pairs), where=pairs > 0)
        classes: NDArray[np.int64] = (pairs > 0).sum(axis=0)
        out.append(np.divide(mean.sum(axis=0), classes, out=np.full(classes.shape, np.nan), where=classes > 0))
    return np.concatenate(out)


def bootstrap_map(
    probability: NDArray[np.floating], positive: NDArray[np.bool_], replicates: int
) -> NDArray[np.float64]:
    """Return [R], the mAP when the clips are drawn again with replacement.

    The mAP of a replicate is the mean over the classes for which it draws a positive and a negative clip; NaN if there
    is no such class.

    Args:
        probability: [N, K].
        positive: [N, K].
        replicates: R.
    """
    columns = np.ascontiguousarray(probability.T)
    labels = np.ascontiguousarray(positive.T)
    out = []
    for weights in bootstrap_weights(len(probability), replicates):
        clips, drawn = weights.shape
        total, scored = np.zeros(drawn), np.zeros(drawn)
        for score, label in zip(columns, labels, strict=True):
            AP = weighted_average_precision(score, label, weights)
            AP[weights[label].sum(axis=0) == clips] = np.nan
            good = np.isfinite(AP)
            total[good] += AP[good]
            scored += good
        out.append(np.divide(total, scored, out=np.full(drawn, np.nan), where=scored > 0))
    return np.concatenate(out)


def weighted_average_precision(
    score: NDArray[np.floating], positive: NDArray[np.bool_], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    r"""Return the AP of one class for R sets of clip weights at once; NaN where no positive clip has weight.

    With the distinct scores $u_1 < \dots < u_m$ of the positive clips, and the weights $W_r(u)$ of all clips and
    $P_r(u)$ of the positive clips that score $u$ or more,

    $$\mathrm{AP}_r = \sum_{j=1}^{m} \frac{P_r(u_j) - P_r(u_{j+1})}{P_r(u_1)} \, \frac{P_r(u_j)}{W_r(u_j)}, \qquad
    P_r(u_{m+1}) = 0.$$

    This is scikit-learn's `average_precision_score`, in which clips of the same score form one step. Clips are not
    sorted: a binary search finds in which of the m + 1 bins between the $u_j$ each clip falls, and a sparse matrix
    [m + 1, N] times the weights [N, R] sums each bin for each replicate. It takes O(N R) time and O(m R) memory.

    Args:
        score: [N].
        positive: [N], True where the clip has the class.
        weights: [N, R], whole numbers with a sum below 2^24, which float32 adds exactly.

    Returns:
        [R].
    """
    u = np.unique(score[positive])
    if not len(u):
        return np.full(weights.shape[1], np.nan)
    bins = np.searchsorted(u, score, side="right")  # j for u_j <= score < u_j+1; 0 below all positives
    W = _at_or_above(bins, weights, len(u))
    P = _at_or_above(bins[positive], weights[positive], len(u))
    step = -np.diff(P, axis=0, append=0)
    precision = np.divide(P, W, out=np.zeros_like(P), where=W > 0)
    AP: NDArray[np.float64] = np.full(weights.shape[1], np.nan)
    np.divide((step * precision).sum(axis=0), P[0], out=AP, where=P[0] > 0)
    return AP


def _at_or_above(bins: NDArray[np.integer], weights: NDArray[np.float32], m: int) -> NDArray[np.float64]:
    """Return [m, R], the total weight of the bins j, j + 1, ..., m, for j from 1."""
    n = len(bins)
    ones = np.ones(n, np.float32)
    member = sparse.csc_array((ones, bins.astype(np.int32), np.arange(n + 1, dtype=np.int32)), shape=(m + 1, n))
    per_bin = (member @ weights).astype(np.float64)
    return np.ascontiguousarray(per_bin[:0:-1].cumsum(axis=0)[::-1])
