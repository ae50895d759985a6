"""Power pooling as a measure: a power of f whose exponent is learned for each class."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.pooling.measure import Measure, exponential
from audiobag.utils.values import check_number

EPSILON = 1e-7


class Power(Measure):
    r"""The weight of a frame is a power of its probability.

    $$v_k(x_t) = \max(f_k(x_t), 10^{-7})^{n_k}$$

    $n_k = 0$ is average pooling, 1 is linear softmax pooling, and large values approach max pooling.

    Args:
        in_features: H.
        classes: K.
        n: $n_k$ of each class, at least 0; before training if it is learned.
        learned: learn $n_k$, as in the paper.

    Raises:
        ValueError: `n` is negative or not finite.

    References:
        Liu et al. (2021), "Power pooling: an adaptive pooling function for weakly labelled sound event detection",
        arXiv:2010.09985.
    """

    def __init__(self, in_features: int, classes: int, n: float = 1.0, learned: bool = True) -> None:
        super().__init__(in_features, classes)
        check_number("n", n, "[0, inf)")
        self.n = nn.Parameter(torch.full((classes,), float(n)), requires_grad=learned)

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v, scaled so that the largest weight of a bag is 1."""
        return exponential(self.n * f.clamp(min=EPSILON).log(), mask)
