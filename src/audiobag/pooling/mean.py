"""The weighted mean over a bag that every expectation is, with a backward pass of its own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def weighted_mean(
    f: Float[Tensor, "B T K"], v: Float[Tensor, "B T #K"], mask: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B T K"]]:
    """Return F = sum_t p_t f_t and p_t = v_t / sum_s v_s, sums over the real frames; p is 0 on padding.

    Gradients, with S = sum_s v_s: dF/df_t = p_t, dF/dv_t = (f_t - F) / S. Autograd's own way over the same
    operations keeps more [B, T, K] tensors and goes over them twice as often. p, which serves to look at, has no
    gradient.

    Args:
        f: what is averaged.
        v: the weights, not normalised; one column, without a gradient, where all classes have the same.
        mask: true on real frames, of which each bag has at least one with a positive weight.
    """
    if torch.is_grad_enabled():
        mean, p = _WeightedMean.apply(f, v, mask)  # type: ignore[no-untyped-call]
    else:  # in plain operations, which exporters understand
        mean, p, _ = _weighted_mean(f, v, mask)
    return mean, p.expand_as(f)


def _weighted_mean(f: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p = v * mask[..., None]
    total = p.sum(1, keepdim=True)
    p = p.div_(total)
    return (p * f).sum(1), p, total


class _WeightedMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, f: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)  # p has no gradient: no [B, T, K] of zeros for it
        mean, p, total = _weighted_mean(f, v, mask)
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
