"""What a ranking of clips is worth: per class, and the means over classes."""

from __future__ import annotations

import math
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


class TaggingScores:
    """Average precision and area under the ROC curve of each class, and what follows from them.

    All are on the CPU, in float64, and NaN for a class without positives or without negatives: it has no AUC,
    and is left out of every mean. Not a dataclass, since torchmetrics rebuilds the dataclasses that a metric
    computes, field by field.

    Attributes:
        average_precision: AP [K].
        auc: AUC [K].
        positives: [K], how many clips have the class.
    """

    __slots__ = ("auc", "average_precision", "positives")

    def __init__(
        self,
        average_precision: Float64[Tensor, " K"],
        auc: Float64[Tensor, " K"],
        positives: Int64[Tensor, " K"],
    ) -> None:
        self.average_precision: Final = average_precision
        self.auc: Final = auc
        self.positives: Final = positives

    @property
    def d_prime_per_class(self) -> Float64[Tensor, " K"]:
        """d'_k = sqrt(2) Phi^-1(AUC_k), Phi being the standard normal distribution; infinite at AUC 0 and 1."""
        d_prime: Tensor = math.sqrt(2) * torch.special.ndtri(self.auc)
        return d_prime

    @property
    def scored(self) -> Bool[Tensor, " K"]:
        """True where the class has both positives and negatives."""
        return ~self.auc.isnan()

    @property
    def saturated(self) -> Bool[Tensor, " K"]:
        """True where the AUC is 0 or 1, and d' therefore infinite."""
        return (self.auc == 0) | (self.auc == 1)

    @property
    def classes(self) -> int:
        """How many classes are scored."""
        return int(self.scored.sum())

    @property
    def classes_left_out(self) -> int:
        """How many classes have no positives or no negatives."""
        return len(self.auc) - self.classes

    @property
    def classes_saturated(self) -> int:
        """How many of the scored classes have AUC 0 or 1: the mean of d' is without them."""
        return int(self.saturated.sum())

    @property
    def mAP(self) -> float:  # noqa: N802 - the field's name
        """Mean of AP over the scored classes; NaN where there are none, as the three below."""
        return float(self.average_precision[self.scored].mean())

    @property
    def AUC(self) -> float:  # noqa: N802 - the field's name
        """Mean of AUC over the scored classes."""
        return float(self.auc[self.scored].mean())

    @property
    def d_prime(self) -> float:
        """sqrt(2) Phi^-1(mean AUC): the d' that the paper's code reports; infinite at AUC 0 and 1."""
        return math.sqrt(2) * float(torch.special.ndtri(torch.tensor(self.AUC, dtype=torch.float64)))

    @property
    def d_prime_mean(self) -> float:
        """Mean of d'_k over the scored classes that are not saturated."""
        return float(self.d_prime_per_class[self.scored & ~self.saturated].mean())

    def summary(self) -> dict[str, float | int | None]:
        """Return the means and counts, fit for JSON: None where a number does not exist or is infinite."""
        means = {name: getattr(self, name) for name in ("mAP", "AUC", "d_prime", "d_prime_mean")}
        return {
            **{name: value if math.isfinite(value) else None for name, value in means.items()},
            "classes": self.classes,
            "classes_left_out": self.classes_left_out,
            "classes_saturated": self.classes_saturated,
        }

    def __repr__(self) -> str:
        numbers = (f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.summary().items())
        return f"{type(self).__name__}({', '.join(numbers)})"
