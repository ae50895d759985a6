"""Attention with a softmax over time as a measure."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.kernels.dense import Dense
from audiobag.pooling.measure import Measure, exponential


class TimeSoftmaxAttention(Measure):
    r"""A learned measure that is normalised over time by a softmax.

    $$v_k(x_t) = e^{w_k \cdot h_t}, \qquad p_k(x_t) = \frac{e^{w_k \cdot h_t}}{\sum_s e^{w_k \cdot h_s}}$$

    There is no bias, because it would not change p.

    Args:
        in_features: H.
        classes: K.

    References:
        Wang, Li and Metze (2019), "A comparison of five multiple instance learning pooling functions for sound event
        detection with weak labeling", arXiv:1810.09050, where it is called attention.
    """

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes)
        self.linear = Dense(in_features, classes, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v, scaled so that the largest weight of a bag is 1; it is in fp32 under any precision."""
        return exponential(self.linear(h).float(), mask)
