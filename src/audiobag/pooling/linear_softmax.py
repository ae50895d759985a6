"""Linear softmax pooling as a measure."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from audiobag.pooling.measure import Measure

EPSILON = 1e-7


class LinearSoftmax(Measure):
    r"""The weight of a frame is its probability.

    $$v_k(x_t) = \max(f_k(x_t), 10^{-7}), \qquad F_k = \frac{\sum_t f_k(x_t)^2}{\sum_t f_k(x_t)}$$

    Where f is below $10^{-7}$ on all frames of a bag, they count the same, and F is below $10^{-7}$ too.

    References:
        Wang, Li and Metze (2019), "A comparison of five multiple instance learning pooling functions for sound event
        detection with weak labeling", arXiv:1810.09050.
    """

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v."""
        return f.clamp(min=EPSILON)
