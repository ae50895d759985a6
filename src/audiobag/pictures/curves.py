"""Precision-recall curves, and the classes to draw them for. NumPy alone: a report starts without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def precision_recall_curve(
    score: NDArray[np.floating], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    r"""Return precision and number of hits at each distinct score, from the highest score to the lowest.

    With the clips ranked by score and $y_i$ their labels, the threshold that accepts the first $n$ clips has

    $$\mathrm{hits}_n = \sum_{i \le n} y_i, \quad \mathrm{precision}_n = \mathrm{hits}_n / n, \quad
    \mathrm{recall}_n = \mathrm{hits}_n / \mathrm{hits}_N.$$

    A threshold accepts clips of the same score together.

    Args:
        score: [N].
        positive: [N], True where the clip has the class.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)  # the last clip of each score
    hits = np.cumsum(positive[order], dtype=np.int64)[ends]
    return hits / (ends + 1), hits


def spread(clips: NDArray[np.int64], among: NDArray[np.bool_]) -> list[int]:
    """Return up to six classes from the most frequent to the rarest.

    The ranks of the classes have equal ratios. Frequencies are long-tailed, and equal steps would show fewer of them.

    Args:
        clips: [K], number of clips of each class.
        among: [K], True for the classes to choose from.
    """
    order = [int(k) for k in np.argsort(-clips, kind="stable") if among[k]]
    if not order:
        return []
    ranks = np.unique(np.geomspace(1, len(order), 6).round().astype(int)) - 1
    return [order[rank] for rank in ranks]
