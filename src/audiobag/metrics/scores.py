"""The scores of a ranking of clips, per class and averaged over classes."""

from __future__ import annotations

import math
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


class TaggingScores:
    """Average precision and area under the ROC curve (AUC) of each class, and the numbers that follow from them.

    All numbers are on the CPU, in float64. A class without positives or without negatives has no AUC: its scores are
    NaN and every mean leaves it out.

    Attributes:
        average_precision: AP [K].
        auc: AUC [K].
        positives: number of clips [K] that have the class.
    """

    # Not a dataclass: torchmetrics rebuilds a dataclass that a metric returns, field by field.

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
        r"""The sensitivity index d' of each class [K]; infinite where the AUC is 0 or 1.

        $$d'_k = \sqrt{2}\, \Phi^{-1}(\mathrm{AUC}_k),$$

        with $\Phi$ the cumulative distribution function of the standard normal distribution.
        """
        d_prime: Tensor = math.sqrt(2) * torch.special.ndtri(self.auc)
        return d_prime

    @property
    def scored(self) -> Bool[Tensor, " K"]:
        """[K], true where the class has both positives and negatives."""
        return ~self.auc.isnan()

    @property
    def saturated(self) -> Bool[Tensor, " K"]:
        """[K], true where the AUC is 0 or 1, so that d' is infinite."""
        return (self.auc == 0) | (self.auc == 1)

    @property
    def classes(self) -> int:
        """Number of classes that are scored."""
        return int(self.scored.sum())

    @property
    def classes_left_out(self) -> int:
        """Number of classes without positives or without negatives."""
        return len(self.auc) - self.classes

    @property
    def classes_saturated(self) -> int:
        """Number of scored classes with AUC 0 or 1, which `d_prime_mean` leaves out."""
        return int(self.saturated.sum())

    @property
    def mAP(self) -> float:  # noqa: N802 - the usual name
        """Mean of AP over the scored classes; NaN if there are none, as for all means."""
        return float(self.average_precision[self.scored].mean())

    @property
    def AUC(self) -> float:  # noqa: N802 - the usual name
        """Mean of AUC over the scored classes."""
        return float(self.auc[self.scored].mean())

    @property
    def d_prime(self) -> float:
        r"""$\sqrt{2}\, \Phi^{-1}(\text{mean AUC})$, as in the paper's code; infinite at a mean AUC of 0 or 1."""
        return math.sqrt(2) * float(torch.special.ndtri(torch.tensor(self.AUC, dtype=torch.float64)))

    @property
    def d_prime_mean(self) -> float:
        """Mean of d' over the scored classes that are not saturated."""
        return float(self.d_prime_per_class[self.scored & ~self.saturated].mean())

    def summary(self) -> dict[str, float | int | None]:
        """Return the means and counts as values for JSON: None where a number is NaN or infinite."""
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
