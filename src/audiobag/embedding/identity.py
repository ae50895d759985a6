"""The embedding that changes nothing."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn


class Identity(nn.Module):
    """Pools the frames as they are: h = x.

    Args:
        in_features: D.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Return x."""
        return x
