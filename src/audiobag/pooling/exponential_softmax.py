"""Exponential softmax pooling as a measure."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from audiobag.pooling.measure import Measure


class ExponentialSoftmax(Measure):
    r"""The weight of a frame is the exponential of its probability.

    $$v_k(x_t) = e^{f_k(x_t)}$$

    Since f is between 0 and 1, no frame counts more than e times as much as another.

    References:
        Wang, Li and Metze (2019), "A comparison of five multiple instance learning pooling functions for sound event
        detection with weak labeling", arXiv:1810.09050.
    """

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v."""
        return f.exp()
