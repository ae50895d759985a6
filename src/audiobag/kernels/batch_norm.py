"""Batch normalisation over the real frames of a batch. The plain reference is `torch.nn.BatchNorm1d` on `x[mask]`.

Selecting frames with `x[mask]` makes a GPU wait for the number of real frames, and cannot be exported or captured in a
CUDA graph. Sums weighted by the mask can.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_EPSILON = 1e-5
_MOMENTUM = 0.1


class MaskedBatchNorm(nn.Module):
    r"""Normalises each feature over the real frames of the batch.

    $$y = \frac{x - \mu}{\sqrt{\sigma^2 + 10^{-5}}} \, w + b, \qquad
    \mu = \frac{1}{n} \sum_{b,t} m_{bt} x_{bt}, \qquad \sigma^2 = \frac{1}{n} \sum_{b,t} m_{bt} (x_{bt} - \mu)^2, \qquad
    n = \sum_{b,t} m_{bt}$$

    Training updates the running mean and variance with momentum 0.1, and evaluation uses them. Statistics are in the
    precision of the running mean, fp32, under any precision of x. The state dict is that of `torch.nn.BatchNorm1d`.

    Args:
        features: H.

    References:
        Ioffe and Szegedy (2015), "Batch normalization: accelerating deep network training by reducing internal
        covariate shift".
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return y in the dtype of x; its values on padding are finite and arbitrary."""
        if not self.training:
            scale = (self.running_var + _EPSILON).rsqrt() * self.weight
            return torch.addcmul(self.bias - self.running_mean * scale, x, scale).to(x.dtype)
        m = mask[..., None].to(self.running_mean.dtype)
        y, mean, variance = _Normalise.apply(x, m, self.weight, self.bias)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            n = m.sum()
            self.running_mean.lerp_(mean, _MOMENTUM)
            self.running_var.lerp_(variance * (n / (n - 1).clamp(min=1)), _MOMENTUM)
            self.num_batches_tracked += 1
        return y  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the number of features, for the printed form of the module."""
        return str(len(self.weight))


class _Normalise(torch.autograd.Function):
    """Maps x, m [B, T, 1], weight and bias to y, mean and variance, with half the passes over x of autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, m: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = m.sum()
        centred = x * m
        mean = centred.sum((0, 1)) / n
        centred = centred.addcmul_(m, mean, value=-1)  # zero on padding
        variance = torch.linalg.vector_norm(centred, dim=(0, 1)).square() / n
        ctx.save_for_backward(centred, m, n, weight, variance)
        ctx.mark_non_differentiable(mean, variance)
        y = torch.addcmul(bias, centred, weight * (variance + _EPSILON).rsqrt()).to(x.dtype)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        centred, m, n, weight, variance = ctx.saved_tensors
        deviation = (variance + _EPSILON).rsqrt()
        for_weight = (gradient * centred).sum((0, 1)) * deviation
        for_bias = gradient.sum((0, 1), dtype=m.dtype)
        for_x = gradient * m
        mean = for_x.sum((0, 1)) / n
        for_x = for_x.addcmul_(m, mean, value=-1).addcmul_(centred, for_weight * deviation / n, value=-1)
        return for_x.mul_(weight * deviation).to(gradient.dtype), None, for_weight, for_bias
