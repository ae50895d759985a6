"""Attention pooling as a measure, with three choices of its non-negative function."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.kernels.dense import dense
from audiobag.pooling.measure import Measure

EPSILON = 1e-7  # from the authors' code


class Attention(Measure):
    r"""A learned measure (eq. 8), clipped as in the authors' code so that no frame is ignored altogether.

    $$v(x_t) = \mathrm{clip}(\phi(W_v h_t + b_v),\; 10^{-7},\; 1 - 10^{-7})$$

    Args:
        in_features: H.
        classes: K.
        phi: $\phi$, a non-negative function of the logits [B, T, K].
    """

    def __init__(self, in_features: int, classes: int, phi: Callable[[Tensor], Tensor]) -> None:
        super().__init__(in_features, classes)
        self.linear = dense(in_features, classes)
        self.phi = phi

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v; it is in fp32 under any precision."""
        # hardtanh is clamp with a cheaper backward pass: one operation instead of four.
        return nn.functional.hardtanh(self.phi(self.linear(h).float()), EPSILON, 1 - EPSILON)


class SoftmaxAttention(Attention):
    r"""`Attention` with a softmax over the classes, as in eq. 8 and the authors' code.

    $$\phi_k(z) = \frac{e^{z_k}}{\sum_j e^{z_j}}$$
    """

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes, nn.Softmax(dim=-1))


class SigmoidAttention(Attention):
    r"""`Attention` with $\phi(z) = 1 / (1 + e^{-z})$."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes, nn.Sigmoid())


class ReLUAttention(Attention):
    r"""`Attention` with $\phi(z) = \max(z, 0)$. Where the clipping applies, at 0 and at 1, the gradient is zero."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(in_features, classes, nn.ReLU())
