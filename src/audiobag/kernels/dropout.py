"""Fast dropout on the CPU, alone and after a ReLU. The plain reference is `torch.nn.functional.dropout`.

torch's dropout takes a seventh of the training step on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from audiobag.utils.values import check_number

_LEVELS = 2**16
_INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # keyed by the bytes of an element


class Dropout(nn.Module):
    r"""Dropout whose masks are cheap to draw on a CPU.

    $$y = \frac{x \odot m}{1 - r}, \qquad m_i \sim \mathrm{Bernoulli}(1 - r)$$

    In evaluation y = x. torch draws one Bernoulli number per element; this draws one 64-bit integer per four elements
    and applies m as a bit mask, which takes a tenth of the time. The rate is therefore rounded to a multiple of
    $2^{-16}$ (0.199997 for 0.2), and the scale is that of the rounded rate, so that the mean of y is x. Other devices
    use torch's own dropout.

    Args:
        rate: r, in [0, 1).

    Raises:
        ValueError: the rate is not in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        check_number("rate", rate, "[0, 1)")
        self.rate = rate

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return y, in the shape of x."""
        if not self.training or not self._dropped:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.rate)
        return _Dropout.apply(x, _draw_mask(x, self._dropped), self._scale)  # type: ignore[no-any-return,no-untyped-call]

    @property
    def _dropped(self) -> int:
        """How many of the `_LEVELS` equally likely draws drop an element."""
        return min(round(self.rate * _LEVELS), _LEVELS - 1)

    @property
    def _scale(self) -> float:
        return _LEVELS / (_LEVELS - self._dropped)

    def extra_repr(self) -> str:
        """Return the rate, for the printed form of the module."""
        return f"rate={self.rate}"


class ReLUDropout(Dropout):
    r"""A ReLU followed by dropout, with one backward pass that keeps only y.

    $$y = \frac{\max(x, 0) \odot m}{1 - r}$$

    Args:
        rate: r, in [0, 1).

    Raises:
        ValueError: the rate is not in [0, 1).
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return y, in the shape of x."""
        if not self.training or not self._dropped or x.device.type != "cpu":
            return super().forward(torch.relu(x))
        return _ReLUDropout.apply(x, _draw_mask(x, self._dropped), self._scale)  # type: ignore[no-any-return,no-untyped-call]


def _draw_mask(x: Float[Tensor, "..."], dropped: int) -> Int[Tensor, "..."]:
    """Return integers in the shape of x: all bits set where an element is kept, none where it is dropped."""
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    level = draws.view(torch.int16)[: x.numel()].view(x.shape)
    lowest_kept = dropped - _LEVELS // 2
    # A comparison gives booleans, which torch turns into bit masks slowly.
    kept = level.clamp_(lowest_kept - 1, lowest_kept).sub_(lowest_kept).bitwise_not_()
    return kept.to(_INTEGER[x.element_size()])


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (x.view(kept.dtype) & kept).view(x.dtype).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return (gradient.view(kept.dtype) & kept).view(gradient.dtype).mul_(ctx.scale), None, None


class _ReLUDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        y = torch.relu(x)
        y.view(kept.dtype).bitwise_and_(kept)
        ctx.save_for_backward(y.mul_(scale))
        ctx.scale = scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors  # positive exactly where x is positive and kept
        return torch.ops.aten.threshold_backward(gradient, y, 0).mul_(ctx.scale), None, None
