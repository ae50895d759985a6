"""Tagging scores in float64 from their definitions, over every threshold and every pair of clips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]


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
    """Share of the pairs of a positive and a negative in which the positive scores more; a tie counts half."""
    pairs = [(p, n) for p in score[positive].tolist() for n in score[~positive].tolist()]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def per_class(probability: Array, labels: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return AP [K] and AUC [K]; NaN for a class without positives or without negatives."""
    scores = np.full((2, labels.shape[1]), np.nan)
    for k, positive in enumerate(labels.T):
        if 0 < positive.sum() < len(positive):
            score = probability[:, k]
            scores[:, k] = average_precision(score, positive), auc(score, positive)
    return scores[0], scores[1]


def d_prime(area: float) -> float:
    """Return the distance, in standard deviations, of two normal distributions whose ROC curve has this area."""
    return float(np.sqrt(2) * norm.ppf(area))


def ontology_average_precision(score: Array, labels: NDArray[np.bool_], distance: NDArray[Any]) -> float:
    """OmAP, threshold by threshold: each false positive has the weight of its distance to the clip's nearest class."""
    classes = range(labels.shape[1])
    levels = []
    for level in range(int(distance.max()) + 1):
        weight = np.where(distance > level, distance, 0).astype(np.float64)
        mean = np.mean([weight[a, b] for a in classes for b in classes if a != b])
        weight = weight / mean if mean > 0 else weight
        farthest = weight.max()
        AP = []
        for k in classes:
            positive = labels[:, k]
            if not 0 < positive.sum() < len(positive):
                continue
            cost = np.array([min((weight[j, k] for j in np.flatnonzero(row)), default=farthest) for row in labels])
            area, recall_before = 0.0, 0.0
            for threshold in sorted(set(score[:, k].tolist()), reverse=True):
                found = score[:, k] >= threshold
                hits = np.count_nonzero(found & positive)
                recall = hits / np.count_nonzero(positive)
                if hits:
                    area += (recall - recall_before) * hits / (hits + cost[found & ~positive].sum())
                recall_before = recall
            AP.append(area)
        levels.append(np.mean(AP))
    return float(np.mean(levels))
