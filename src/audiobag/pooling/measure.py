"""Measures: how much each instance of a bag counts for each class.

A measure gives v_k(x_t) >= 0 for each instance; normalised over the real frames of a bag, which `weighted_mean`
does, it is the probability measure p_k(x_t) = v_k(x_t) / sum_s v_k(x_s) (eq. 6 and 9).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.linear import dense

EPSILON = 1e-7  # the authors' code clips v to [1e-7, 1 - 1e-7]: no instance is ignored altogether


class Measure(nn.Module, ABC):
    """What gives the weights v of a bag's instances, before they are normalised.

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
        """Return v in fp32, non-negative and somewhere positive on real frames; anything finite on padding.

        One column, without a gradient, where all classes have the same.
        """


class Average(Measure):
    """v = 1: all instances count the same (the collective assumption, eq. 1)."""

    def forward(
        self,
        h: Float[Tensor, "B T H"],
        f: Float[Tensor, "B T K"],
        mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, "B T 1"]:
        """Return ones."""
        return torch.ones_like(f[..., :1])


class Max(Measure):
    """v = 1 on the instance of the largest f, 0 elsewhere (maximum selection, eq. 2); the first where several tie."""

    def forward(
        self,
        h: Float[Tensor, "B T H"],
        f: Float[Tensor, "B T K"],
        mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, "B T K"]:
        """Return the point mass; the choice itself has no gradient."""
        # argmax over any but the last dimension takes a CPU five times as long as two maxima: of f, and of those that
        # reach it the earliest.
        f = f.detach().masked_fill(~mask[..., None], -1.0)
        earliness = torch.arange(f.shape[1], 0, -1, dtype=torch.int32, device=f.device)[:, None]
        reached = (f == f.amax(1, keepdim=True)) * earliness
        return (reached == reached.amax(1, keepdim=True)).float()


class Attention(Measure):
    """v = phi(W_v h + b_v), clipped to [1e-7, 1 - 1e-7] (eq. 8).

    Args:
        in_features: H.
        classes: K.
        phi: the non-negative function, of the logits [B, T, K].
    """

    def __init__(self, in_features: int, classes: int, phi: Callable[[Tensor], Tensor]) -> None:
        super().__init__(in_features, classes)
        self.linear = dense(in_features, classes)
        self.phi = phi

    def forward(
        self,
        h: Float[Tensor, "B T H"],
        f: Float[Tensor, "B T K"],
        mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, "B T K"]:
        """Return phi of the logits, in fp32 whatever the precision of the product."""
        # hardtanh is clamp in all but its backward pass: one operation, where clamp's takes four.
        return nn.functional.hardtanh(self.phi(self.linear(h).float()), EPSILON, 1 - EPSILON)


class SoftmaxAttention(Attention):
    """Attention whose phi is a softmax over the classes, as eq. 8's index k and the authors' code have it."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes, nn.Softmax(dim=-1))


class SigmoidAttention(Attention):
    """Attention whose phi is the sigmoid."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes, nn.Sigmoid())


class ReLUAttention(Attention):
    """Attention whose phi is ReLU. The clipping ends it at 1 - 1e-7, and there its gradient too."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes, nn.ReLU())
