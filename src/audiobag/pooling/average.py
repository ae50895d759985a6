"""Average pooling as a measure."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audiobag.pooling.measure import Measure


class Average(Measure):
    """All frames count the same: v = 1 (the collective assumption, eq. 1)."""

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T 1"]:
        """Return ones."""
        return torch.ones_like(f[..., :1])
