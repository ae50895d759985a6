"""Further scores, computed at the end of a run: each ranks the clips again."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from audiobag.metrics.functional import at_positives, tagging_scores
from audiobag.metrics.ontology import ontology_average_precision

FURTHER = {"lwlrap": "lwlrap", "micro_mAP": "micro mAP", "best_F1": "best F1", "OmAP": "OmAP"}
"""The scores in metrics.json, and how tables name them."""


def further_scores(
    probability: Float[Tensor, "N K"],
    labels: Bool[Tensor, "N K"],
    distance: Int[NDArray[np.int16], "K K"] | None = None,
) -> dict[str, float | None]:
    """Return lwlrap, micro mAP, macro F1 at the best thresholds and, with distances, OmAP; None for an undefined one.

    Args:
        probability: scores [N, K] in [0, 1].
        labels: [N, K], true where the clip has the class.
        distance: distances [K, K] of the classes, see `class_distances`; None for no OmAP.

    Raises:
        ValueError: as `tagging_scores`.
    """
    found = {
        "lwlrap": lwlrap(probability, labels),
        "micro_mAP": micro_average_precision(probability, labels),
        "best_F1": float(best_f1(probability, labels).nanmean()),
    }
    if distance is not None:
        found["OmAP"] = ontology_average_precision(probability, labels, distance)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def lwlrap(probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]) -> float:
    r"""Return the label-weighted label-ranking average precision; NaN without positives.

    $$\mathrm{lwlrap} = \frac{1}{|Y|} \sum_{(n, k) \in Y} \frac{P_{\ge}(n, k)}{n_{\ge}(n, k)}$$

    Y are the positives. $n_{\ge}$ counts the classes of clip n that score at least as much as class k, and $P_{\ge}$
    those among them that the clip has. Classes are ranked within a clip, so scores must be comparable between classes.

    Source: Fonseca, Plakal, Font, Ellis and Serra, "Audio tagging with noisy labels and minimal supervision" (2019).

    Args:
        probability: scores [N, K] in [0, 1].
        labels: [N, K], true where the clip has the class.
    """
    _, hits, classes = at_positives(probability.t(), labels.t())
    return float(np.mean(hits / classes)) if len(hits) else math.nan


def micro_average_precision(probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]) -> float:
    """Return the average precision of all N K pairs of a clip and a class, ranked together; NaN if it is undefined.

    Frequent classes dominate it. It agrees with scikit-learn's `average="micro"`.

    Args:
        probability: scores [N, K] in [0, 1].
        labels: [N, K], true where the clip has the class.
    """
    return tagging_scores(probability.reshape(-1, 1), labels.reshape(-1, 1)).mAP


def best_f1(probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"]) -> Float64[Tensor, " K"]:
    r"""Return the F1 [K] of each class at the threshold that is best for it; NaN for a class that cannot be scored.

    $$F_{1,k} = \max_{i \text{ positive}} \frac{2 P_{\ge}(s_i)}{n_{\ge}(s_i) + P_k}$$

    The thresholds are chosen on the same clips that are scored, so this is an upper bound of what thresholds from other
    clips reach.

    Args:
        probability: scores [N, K] in [0, 1].
        labels: [N, K], true where the clip has the class.
    """
    label, hits, clips = at_positives(probability, labels)
    N, K = labels.shape
    P = np.bincount(label, minlength=K)
    best = np.zeros(K)
    np.maximum.at(best, label, 2 * hits / (clips + P[label]))
    best[(P == 0) | (P == N)] = np.nan
    return torch.from_numpy(best)
