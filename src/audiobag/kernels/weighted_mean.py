"""The weighted mean over the frames of a bag, with a hand-written backward pass."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def weighted_mean(
    f: Float[Tensor, "B T K"], v: Float[Tensor, "B T #K"], mask: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B T K"]]:
    r"""Return the mean F [B, K] of f under the normalised weights, and the normalised weights p [B, T, K].

    $$p_t = \frac{v_t}{\sum_s v_s}, \qquad F = \sum_t p_t f_t$$

    Sums run over the real frames of a bag; p is exactly 0 on padding and has no gradient. The backward pass,

    $$\frac{\partial F}{\partial f_t} = p_t, \qquad \frac{\partial F}{\partial v_t} = \frac{f_t - F}{\sum_s v_s},$$

    keeps fewer [B, T, K] tensors than autograd does for `weighted_mean_reference`, and reads them half as often.

    Args:
        f: values to average.
        v: non-negative weights. One column [B, T, 1], without a gradient, gives all classes the same weights.
        mask: true on real frames; each bag has at least one real frame with a positive weight.
    """
    if torch.is_grad_enabled():
        mean, p = _WeightedMean.apply(f, v, mask)  # type: ignore[no-untyped-call]
    else:  # exporters need plain operations
        mean, p, _ = _forward(f, v, mask)
    return mean, p.expand_as(f)


def weighted_mean_reference(
    f: Float[Tensor, "B T K"], v: Float[Tensor, "B T #K"], mask: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B T K"]]:
    """Return what `weighted_mean` returns, by plain operations; p has a gradient."""
    v = v * mask[..., None]
    p = v / v.sum(1, keepdim=True)
    return (p * f).sum(1), p.expand_as(f)


def _forward(f: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p = v * mask[..., None]
    total = p.sum(1, keepdim=True)
    p = p.div_(total)
    return (p * f).sum(1), p, total


class _WeightedMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, f: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)  # allocates no [B, T, K] zeros for the gradient of p
        mean, p, total = _forward(f, v, mask)
        ctx.save_for_backward(f, mask, mean, p, total)
        ctx.mark_non_differentiable(p)
        return mean, p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, _: None) -> tuple[Tensor | None, Tensor | None, None]:
        if gradient is None:
            return None, None, None
        f, mask, mean, p, total = ctx.saved_tensors
        gradient = gradient[:, None]
        for_v = None
        if ctx.needs_input_grad[1]:
            for_v = (f - mean[:, None]).mul_(gradient / total).mul_(mask[..., None])
        return p * gradient, for_v, None
