"""Many rankings at once, exactly, of unequal numbers of entries."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy.typing import NDArray


class Ranking(NamedTuple):
    """Scores of G separate rankings: AP, AUC and the best F1, each [G]; NaN without positives or without negatives."""

    average_precision: Float64[NDArray[Any], " G"]
    auc: Float64[NDArray[Any], " G"]
    best_f1: Float64[NDArray[Any], " G"]


def rank_groups(
    group: Int64[NDArray[Any], " E"],
    score: Float[NDArray[Any], " E"],
    positive: Bool[NDArray[Any], " E"],
    groups: int,
) -> Ranking:
    """Return AP, AUC and the best F1 of G rankings at once, exactly and with ties counted, as `tagging_scores`.

    Args:
        group: ranking [E] that each entry belongs to, 0 to G - 1.
        score: [E].
        positive: [E].
        groups: G.
    """
    order = np.lexsort((-score, group))
    group, score, positive = group[order], score[order], positive[order]
    size, P = np.bincount(group, minlength=groups), np.bincount(group[positive], minlength=groups)
    new = np.ones(len(group), np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (score[1:] != score[:-1])
    first = np.flatnonzero(new)  # of each run of ties
    last = np.append(first[1:], len(group))
    hits = np.append(0, np.cumsum(positive))
    of = group[first]
    before, hits_before = (np.cumsum(size) - size)[of], (np.cumsum(P) - P)[of]
    n_above, n_least = first - before, last - before  # entries that score more than the run, and at least as much
    P_above, P_least = hits[first] - hits_before, hits[last] - hits_before
    found = P_least - P_above
    outscored = (size - P)[of] - ((n_above - P_above) + (n_least - P_least)) / 2
    best = np.zeros(groups)
    np.maximum.at(best, of, 2 * P_least / (n_least + P[of]))
    with np.errstate(invalid="ignore"):  # 0 / 0 for groups that are left out
        AP = np.bincount(of, found * P_least / n_least, groups) / P
        AUC = np.bincount(of, found * outscored, groups) / (P * (size - P))
    left_out = (P == 0) | (size == P)
    return Ranking(*(np.where(left_out, np.nan, values) for values in (AP, AUC, best)))
