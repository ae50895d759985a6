"""Average precision and AUC of all classes at once: exact, ties included, whatever the order of the clips.

Only the positives matter to either. A class's scores are sorted without their indices, its positives are found
in them by binary search, and from there on everything is counts:

    n_ge(s), P_ge(s)   the clips, and the positives among them, that score s or more
    AP_k  = 1/P_k sum over positives of P_ge / n_ge
    AUC_k = 1/(P_k N_k) sum over positives of [negatives below + 1/2 negatives tied]

P_k and N_k count the positives and negatives of class k. AP is the step-wise area under precision and recall,
tied clips being one step, and AUC the probability that a positive outscores a negative (Mann-Whitney), as in
scikit-learn.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from audiobag.metrics.scores import TaggingScores


def tagging_scores(probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]) -> TaggingScores:
    """Score a ranking of N clips for each of K classes; the module says how.

    Permuting the clips changes no bit of the result.

    Args:
        probability: on any device; half precision counts as the fp32 it stands for.
        labels: on the same device; true where the clip has the class.

    Raises:
        ValueError: the shapes differ, or a score is NaN or outside [0, 1].

    Example:
        >>> probability = torch.tensor([[0.9, 0.3], [0.8, 0.3], [0.1, 0.6]])
        >>> labels = torch.tensor([[True, False], [False, True], [True, False]])
        >>> scores = tagging_scores(probability, labels)
        >>> scores.average_precision.tolist(), scores.auc.tolist()
        ([0.8333333333333333, 0.3333333333333333], [0.5, 0.25])
        >>> scores
        TaggingScores(mAP=0.5833, AUC=0.375, d_prime=-0.4506, d_prime_mean=-0.4769, classes=2, ...)
    """
    check_batch(probability, labels)
    N, K = labels.shape
    first, last = _positives_in_order(probability.detach(), labels)
    label = first // N
    P = np.bincount(label, minlength=K)

    # Positions among the clips of the class, then among its positives: those below, and those not above.
    clips_before, positives_before = label * N, (P.cumsum() - P)[label]
    n_below, n_not_above = first - clips_before, last + 1 - clips_before
    P_below = np.searchsorted(first, first) - positives_before
    P_not_above = np.searchsorted(first, first, side="right") - positives_before

    precision = (P[label] - P_below) / (N - n_below)
    outscored = ((n_below - P_below) + (n_not_above - P_not_above)) / 2  # negatives: those tied count half
    left_out = (P == 0) | (P == N)
    with np.errstate(invalid="ignore"):  # 0 / 0 in the classes left out
        AP = np.bincount(label, weights=precision, minlength=K) / P
        AUC = np.bincount(label, weights=outscored, minlength=K) / (P * (N - P))
    AP[left_out], AUC[left_out] = np.nan, np.nan
    return TaggingScores(torch.from_numpy(AP), torch.from_numpy(AUC), torch.from_numpy(P))


def check_batch(probability: Tensor, labels: Tensor) -> None:
    """Refuse what cannot be scored, naming the value and where it stands.

    Raises:
        ValueError: the shapes differ or are not [N, K], the labels are not boolean, the scores not floating,
            or one is NaN or outside [0, 1].
    """
    if probability.ndim != 2 or probability.shape != labels.shape:
        raise ValueError(
            f"expected scores and labels of one shape [clips, classes], found {list(probability.shape)} and"
            f" {list(labels.shape)}"
        )
    if not probability.is_floating_point() or labels.dtype != torch.bool:
        raise ValueError(f"expected floating scores and bool labels, found {probability.dtype} and {labels.dtype}")
    if not probability.numel():
        return
    low, high = torch.aminmax(probability.detach())  # NaN wherever one score is
    if not (low >= 0) & (high <= 1):
        wrong = ~((probability >= 0) & (probability <= 1))
        clip, label = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"expected scores in [0, 1], found {probability[clip, label].item():.9g} at clip {clip}, class {label}"
            f" ({int(wrong.sum())} of {wrong.numel()} scores are outside or NaN)"
        )


def _positives_in_order(
    probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]
) -> tuple[Int64[NDArray[Any], " P"], Int64[NDArray[Any], " P"]]:
    """Where the score of each positive stands among those of its class: the first and the last tied with it.

    Positions count through the classes' ascending scores end to end, class k having k N .. (k + 1) N - 1. They
    are returned in ascending order, so that the sums over them have one order whatever that of the clips was.
    """
    N, K = labels.shape
    positive = np.flatnonzero(labels.cpu().numpy())
    start = positive % K * N
    dtype = torch.promote_types(probability.dtype, torch.float32)
    score = probability.take(torch.from_numpy(positive).to(probability.device)).to("cpu", dtype).numpy()
    # Not `.t().contiguous()`, which may be the caller's own memory: it is sorted in place.
    rows = torch.empty(K, N, dtype=dtype, device=probability.device).copy_(probability.t())
    ranked = _sort_rows(rows).reshape(-1)

    # Every score sought is in its row, so neither search can leave it.
    first, high = start, start + (N - 1)
    for _ in range(N.bit_length()):
        middle = (first + high) >> 1
        below = ranked[middle] < score
        first, high = np.where(below, middle + 1, first), np.where(below, high, middle)
    first.sort()
    score, last, high = ranked[first], first, first - first % N + (N - 1)
    for _ in range(N.bit_length()):
        middle = (last + high + 1) >> 1
        above = ranked[middle] > score
        last, high = np.where(above, last, middle), np.where(above, middle - 1, high)
    return first, last


def _sort_rows(rows: Float[Tensor, "K N"]) -> Float[NDArray[Any], "K N"]:
    """Sort each row, where it is, and return them in main memory.

    On the CPU by NumPy, in place: it sorts values alone, several times faster than torch, which moves indices too.
    """
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values.cpu().numpy()
    ranked, threads = rows.numpy(), torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:  # NumPy lets go of the interpreter while it sorts
        list(pool.map(np.ndarray.sort, np.array_split(ranked, 8 * threads)))
    return ranked
