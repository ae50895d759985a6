"""Fast dropout on the CPU, alone and after a ReLU. The plain reference is `torch.nn.functional.dropout`.

torch's dropout takes a seventh of the training step on a CPU.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audiobag.utils.values import check_number

_LEVELS = 2**16
_INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # keyed by the bytes of an element


class Dropout(nn.Module):
    r"""Dropout whose masks are cheap to draw on a CPU.

    $$y = \frac{x \odot m}{1 - r}, \qquad m_i \sim \mathrm{Bernoulli}(1 - r)$$

    In evaluation y = x. torch draws one Bernoulli number per element; this draws one 64-bit integer per four elements,
    which takes a tenth of the time. The rate is therefore rounded to a multiple of $2^{-16}$ (0.199997 for 0.2), and
    the scale is that of the rounded rate, so that the mean of y is x. Other devices use torch's own dropout.

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
        factors: Tensor = _draw_factors(x.detach(), self._dropped)
        return x * factors

    @property
    def _dropped(self) -> int:
        """How many of the `_LEVELS` equally likely draws drop an element."""
        return min(round(self.rate * _LEVELS), _LEVELS - 1)

    def extra_repr(self) -> str:
        """Return the rate, for the printed form of the module."""
        return f"rate={self.rate}"


class ReLUDropout(Dropout):
    r"""A ReLU followed by dropout, with a single product in the backward pass.

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
        factors: Tensor = _draw_factors(x.detach(), self._dropped)
        # Zero where x is not positive. After a ReLU a compiled step would keep booleans, which it writes slowly.
        factors = torch.ops.aten.threshold_backward(factors, x.detach(), 0)
        return x * factors


# torch.compile cannot trace `random_`, and would break the graph of the step there.
@torch.library.custom_op(
    "audiobag::dropout_factors",
    mutates_args=(),
    schema="(Tensor x, int dropped) -> Tensor",
    tags=(torch.Tag.nondeterministic_seeded,),
)
def _draw_factors(x: Float[Tensor, "..."], dropped: int) -> Float[Tensor, "..."]:
    """Return m / (1 - r) in the shape and dtype of x: 0 with the probability dropped / _LEVELS.

    The values of x are not read. It is an argument so that compiled layers draw in the same order,
    and hence the same numbers, as without compilation.
    """
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    level = draws.view(torch.int16)[: x.numel()].view(x.shape)
    lowest_kept = dropped - _LEVELS // 2
    # A comparison gives booleans, which torch turns into bit masks slowly.
    kept = level.clamp_(lowest_kept - 1, lowest_kept).sub_(lowest_kept).bitwise_not_().to(_INTEGER[x.element_size()])
    scale = torch.tensor(_LEVELS / (_LEVELS - dropped), dtype=x.dtype)
    return kept.bitwise_and_(scale.view(kept.dtype)).view(x.dtype)


@_draw_factors.register_fake
def _(x: Tensor, dropped: int) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype)
