"""Binary cross-entropy of probabilities. The plain reference is `torch.nn.functional.binary_cross_entropy`."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def cross_entropy(
    p: Float[Tensor, "*shape"], y: Bool[Tensor, "*shape"] | Float[Tensor, "*shape"]
) -> Float32[Tensor, "*shape"]:
    r"""Return the binary cross-entropy of each element, in fp32 and outside of autocast.

    $$-y \log p - (1 - y) \log(1 - p)$$

    Logarithms are clamped to at least -100, as in torch. On the CPU this takes torch's vectorised logarithms, since
    torch's own kernel computes one logarithm at a time. Other devices use torch's own.

    Args:
        p: probabilities in [0, 1].
        y: labels, or numbers in [0, 1].
    """
    with torch.autocast(p.device.type, enabled=False):
        p, target = p.float(), y.float()
        if p.device.type != "cpu":
            return functional.binary_cross_entropy(p, target, reduction="none")
        return _CrossEntropy.apply(p, target)  # type: ignore[no-any-return,no-untyped-call]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(p, y)
        negative = (-p).log1p_().clamp_(min=-100)
        return negative.lerp_(p.log().clamp_(min=-100), y).neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        p, y = ctx.saved_tensors
        return torch.ops.aten.binary_cross_entropy_backward(gradient, p, y, None, 0), None
