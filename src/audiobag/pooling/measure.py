"""The base class of measures: how much each frame of a bag counts for each class."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Measure(nn.Module, ABC):
    r"""Gives each frame of a bag a weight $v_k(x_t) \ge 0$ for each class.

    `Expectation` normalises the weights over the real frames of a bag to a probability measure (eq. 6 and 9):

    $$p_k(x_t) = \frac{v_k(x_t)}{\sum_s v_k(x_s)}$$

    Args:
        in_features: H.
        classes: K.
    """

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__()
        self.in_features, self.classes = in_features, classes

    @abstractmethod
    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T #K"]:
        """Return v [B, T, K] in fp32.

        v is non-negative, with at least one positive weight on the real frames of each bag. Its values on padding are
        ignored but must be finite. A measure that is the same for all classes may return one column [B, T, 1] without
        a gradient.

        Args:
            h: embedded frames.
            f: probability of each class in each frame, from the classifier of `Expectation`.
            mask: true on real frames, false on padding.
        """


def exponential(z: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T K"]:
    r"""Return weights proportional to $e^z$ that neither overflow nor all underflow.

    $$v_t = e^{z_t - \max_s z_s}$$

    The maximum is over the real frames of a bag. It has no gradient, because it does not change the normalised weights.
    """
    z = z.masked_fill(~mask[..., None], torch.finfo(z.dtype).min)
    return (z - z.detach().amax(1, keepdim=True)).exp()
