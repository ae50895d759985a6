"""Losses that weigh certain predictions less than uncertain ones."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.cross_entropy import cross_entropy
from audiobag.loss.bce import Labels
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number


class FocalBCE(nn.Module):
    r"""Focal loss: cross-entropy in which predictions near their label count less.

    $$L = -\frac{1}{BK} \sum_{n, k} |y_{nk} - F_{nk}|^\gamma
    \left[ y_{nk} \log F_{nk} + (1 - y_{nk}) \log(1 - F_{nk}) \right]$$

    With $\gamma = 0$ it is `ClipBCE`.

    Source: Lin et al., "Focal loss for dense object detection" (2017); for labels between 0 and 1, Li et al.,
    "Generalized focal loss" (2020).

    Args:
        gamma: $\gamma$, 0 or at least 1, so that gradients are finite.

    Raises:
        ValueError: `gamma` is out of range.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        _check_exponent("gamma", gamma)
        self.gamma = gamma

    def forward(self, prediction: BagPrediction, labels: Labels, mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Return L, in fp32 under any precision."""
        weight = (labels.float() - prediction.clip.float()).abs().pow(self.gamma)
        return (weight * cross_entropy(prediction.clip, labels)).mean()


class AsymmetricBCE(nn.Module):
    r"""Asymmetric loss: a focal loss with another exponent, and a margin, for absent classes.

    $$L = -\frac{1}{BK} \sum_{n, k} \left[ y_{nk} (1 - F_{nk})^{\gamma_+} \log F_{nk}
    + (1 - y_{nk}) G_{nk}^{\gamma_-} \log(1 - G_{nk}) \right], \qquad G_{nk} = \max(F_{nk} - m, 0)$$

    An absent class whose probability is at most m costs nothing.

    Source: Ridnik et al., "Asymmetric loss for multi-label classification" (2021).

    Args:
        gamma_positive: $\gamma_+$, 0 or at least 1, so that gradients are finite.
        gamma_negative: $\gamma_-$, likewise.
        margin: m, in [0, 1).

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, gamma_positive: float = 0.0, gamma_negative: float = 4.0, margin: float = 0.05) -> None:
        super().__init__()
        _check_exponent("gamma_positive", gamma_positive)
        _check_exponent("gamma_negative", gamma_negative)
        check_number("margin", margin, "[0, 1)")
        self.gamma_positive, self.gamma_negative, self.margin = gamma_positive, gamma_negative, margin

    def forward(self, prediction: BagPrediction, labels: Labels, mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Return L, in fp32 under any precision."""
        p, y = prediction.clip.float(), labels.float()
        g = (p - self.margin).clamp(min=0)
        present = (1 - p).pow(self.gamma_positive) * cross_entropy(p, torch.ones_like(p))
        absent = g.pow(self.gamma_negative) * cross_entropy(g, torch.zeros_like(g))
        return (y * present + (1 - y) * absent).mean()


def _check_exponent(name: str, value: float) -> None:
    """Check that an exponent is 0, or at least 1: between, the gradient of a power is infinite at 0."""
    check_number(name, value, "[0, inf)")
    if 0 < value < 1:
        raise InputError(f"{name} must be 0 or at least 1, got {value}")
