"""Max pooling as a measure."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audiobag.pooling.measure import Measure


class Max(Measure):
    r"""Only the frame with the largest f counts (maximum selection, eq. 2); of several, the first.

    $$v_k(x_t) = \begin{cases} 1 & \text{if } t = \min \, \arg\max_s f_k(x_s) \\ 0 & \text{otherwise} \end{cases}$$
    """

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return the point mass v, which has no gradient."""
        return first_of_the_largest(f.detach().masked_fill(~mask[..., None], -1.0)).float()


def first_of_the_largest(f: Float[Tensor, "B T K"]) -> Bool[Tensor, "B T K"]:
    """Return where f is largest over time; of several equal values, the first."""
    # On a CPU, argmax over any dimension but the last takes five times as long as these two maxima: the largest f,
    # and the earliest of the frames that reach it.
    earliness = torch.arange(f.shape[1], 0, -1, dtype=torch.int32, device=f.device)[:, None]
    reached = (f == f.amax(1, keepdim=True)) * earliness
    return reached == reached.amax(1, keepdim=True)
