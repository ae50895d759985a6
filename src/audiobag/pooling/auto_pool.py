"""Auto-pool as a measure: a softmax over time whose sharpness is learned for each class."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.pooling.measure import Measure, exponential
from audiobag.utils.values import check_number


class AutoPool(Measure):
    r"""A softmax of f over time, whose sharpness is learned for each class.

    $$v_k(x_t) = e^{\alpha_k f_k(x_t)}$$

    $\alpha_k = 0$ is average pooling, 1 is exponential softmax pooling, and large values approach max pooling.

    Args:
        in_features: H.
        classes: K.
        alpha: $\alpha_k$ of each class before training; 0 in the authors' code.

    Raises:
        ValueError: `alpha` is not a finite number.

    References:
        McFee, Salamon and Bello (2018), "Adaptive pooling operators for weakly labeled sound event detection",
        arXiv:1804.10070. This is the variant without constraints on $\alpha$.
    """

    def __init__(self, in_features: int, classes: int, alpha: float = 0.0) -> None:
        super().__init__(in_features, classes)
        check_number("alpha", alpha, "(-inf, inf)")
        self.alpha = nn.Parameter(torch.full((classes,), float(alpha)))

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v, scaled so that the largest weight of a bag is 1."""
        return exponential(self.alpha * f, mask)
