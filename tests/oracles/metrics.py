"""AP and AUC of one class in float64, from their definitions, every threshold and every pair visited."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm


def average_precision(score: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """Sum over thresholds, from the highest score down, of (R_i - R_(i-1)) times the precision at i."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        found = score >= threshold
        hits = np.count_nonzero(found & positive)
        recall = hits / np.count_nonzero(positive)
        area += (recall - recall_before) * hits / np.count_nonzero(found)
        recall_before = recall
    return area


def auc(score: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """How often a positive outscores a negative, over all pairs; a tie counts half."""
    pairs = [(p, n) for p in score[positive].tolist() for n in score[~positive].tolist()]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def d_prime(area: float) -> float:
    """How many standard deviations apart two normal distributions are whose ROC curve has this area."""
    return float(np.sqrt(2) * norm.ppf(area))
