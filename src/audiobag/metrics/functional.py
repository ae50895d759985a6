"""Average precision and AUC of all classes at once, exactly.

Only the positives matter to either score. The scores of a class are sorted without their indices, the positives are
found among them by binary search, and everything else is counting.
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
from audiobag.utils.errors import InputError


def tagging_scores(probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]) -> TaggingScores:
    r"""Return average precision and AUC of each class, exactly and with ties counted.

    $$\mathrm{AP}_k = \frac{1}{P_k} \sum_{i \text{ positive}} \frac{P_{\ge}(s_i)}{n_{\ge}(s_i)}, \qquad
    \mathrm{AUC}_k = \frac{1}{P_k N_k} \sum_{i \text{ positive}} \left[ N_{<}(s_i) + \tfrac{1}{2} N_{=}(s_i) \right]$$

    $s_i$ is the score of clip i for class k; $n$, $P$ and $N$ count clips, positives and negatives that score at least
    ($\ge$), less than ($<$) or exactly ($=$) as much; $P_k$ and $N_k$ count all positives and negatives of the class.
    AP is the step-wise area under the precision-recall curve, with tied clips as one step. AUC is the probability that
    a positive outscores a negative (Mann-Whitney). Both agree with scikit-learn. The result does not depend on the
    order of the clips, to the last bit.

    Args:
        probability: scores [N, K] in [0, 1], on any device; half precision is scored as fp32.
        labels: [N, K] on the same device, true where the clip has the class.

    Raises:
        ValueError: the shapes differ, the dtypes are wrong, or a score is NaN or outside [0, 1].

    Examples:
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
    label, hits, clips = _at_least(first, N, K)
    P = np.bincount(label, minlength=K)

    # For each positive: clips of the class, then positives of the class, that score less, and that score no more.
    n_below, n_not_above = N - clips, last + 1 - label * N
    P_below = P[label] - hits
    P_not_above = np.searchsorted(first, first, side="right") - (P.cumsum() - P)[label]

    precision = hits / clips
    outscored = ((n_below - P_below) + (n_not_above - P_not_above)) / 2  # negatives; a tie counts half
    left_out = (P == 0) | (P == N)
    with np.errstate(invalid="ignore"):  # 0 / 0 for classes that are left out
        AP = np.bincount(label, weights=precision, minlength=K) / P
        AUC = np.bincount(label, weights=outscored, minlength=K) / (P * (N - P))
    AP[left_out], AUC[left_out] = np.nan, np.nan
    return TaggingScores(torch.from_numpy(AP), torch.from_numpy(AUC), torch.from_numpy(P))


def at_positives(
    probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]
) -> tuple[Int64[NDArray[Any], " P"], Int64[NDArray[Any], " P"], Int64[NDArray[Any], " P"]]:
    r"""Return for each positive its class k, $P_{\ge}(s_i)$ and $n_{\ge}(s_i)$, as `tagging_scores` defines them.

    The positives are ordered by class, then by score, ascending.

    Raises:
        ValueError: as `tagging_scores`.
    """
    check_batch(probability, labels)
    return _at_least(_positives_in_order(probability.detach(), labels)[0], *labels.shape)


def _at_least(
    first: Int64[NDArray[Any], " P"], N: int, K: int
) -> tuple[Int64[NDArray[Any], " P"], Int64[NDArray[Any], " P"], Int64[NDArray[Any], " P"]]:
    """Return class, positives and clips that score at least as much, from the first positions of the positives."""
    label = first // max(N, 1)
    end = np.bincount(label, minlength=K).cumsum()[label]
    return label, end - np.searchsorted(first, first), (label + 1) * N - first


def check_batch(probability: Tensor, labels: Tensor) -> None:
    """Check scores and labels.

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
    check_range(probability, "clip")


def check_range(probability: Float[Tensor, "N K"], row: str) -> None:
    """Check scores; the error names the first bad one and its position.

    Args:
        probability: scores [N, K].
        row: what a row stands for, for the message.

    Raises:
        ValueError: a score is NaN or outside [0, 1].
    """
    if not probability.numel():
        return
    low, high = torch.aminmax(probability.detach())  # NaN wherever one score is
    if not (low >= 0) & (high <= 1):
        wrong = ~((probability >= 0) & (probability <= 1))
        first, label = wrong.nonzero()[0].tolist()
        diverged = "; a training that diverges gives NaN: lower its learning rate" if probability.isnan().any() else ""
        raise InputError(
            f"expected scores in [0, 1], found {probability[first, label].item():.9g} at {row} {first}, class {label}"
            f" ({int(wrong.sum())} of {wrong.numel()} scores are outside or NaN){diverged}"
        )


def _positives_in_order(
    probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]
) -> tuple[Int64[NDArray[Any], " P"], Int64[NDArray[Any], " P"]]:
    """Return, for each positive, the first and the last position of its score among the scores of its class.

    Positions count through the ascending scores of all classes end to end; class k has positions k N to (k + 1) N - 1.
    They are returned in ascending order, so that sums over them do not depend on the order of the clips.
    """
    N, K = labels.shape
    positive = np.flatnonzero(labels.cpu().numpy())
    start = positive % K * N
    dtype = torch.promote_types(probability.dtype, torch.float32)
    score = probability.take(torch.from_numpy(positive).to(probability.device)).to("cpu", dtype).numpy()
    # `.t().contiguous()` may be the caller's own memory, and the rows are sorted in place.
    rows = torch.empty(K, N, dtype=dtype, device=probability.device).copy_(probability.t())
    ranked = _sort_rows(rows).reshape(-1)

    # Each score exists in its row, so the searches stay within it.
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
    """Sort each row and return the rows in main memory.

    On the CPU NumPy sorts in place: it sorts values alone, several times faster than torch, which also sorts indices.
    """
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values.cpu().numpy()
    ranked, threads = rows.numpy(), torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:  # NumPy releases the GIL while it sorts
        list(pool.map(np.ndarray.sort, np.array_split(ranked, 8 * threads)))
    return ranked
