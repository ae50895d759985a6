"""Dense layers inside a pooling, for poolings that read several levels of an embedding."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from audiobag.kernels.dense import dense
from audiobag.kernels.dropout import ReLUDropout
from audiobag.utils.values import check_number, check_whole


class Levels(nn.Module):
    r"""Returns the output of the embedding and of further dense layers on top of it.

    $$h^{(1)} = h, \qquad h^{(l)} = \mathrm{dropout}(\max(W_l h^{(l-1)} + b_l, 0))$$

    A pooling sees only the last layer of the embedding, so the layers between its levels belong to the pooling.

    Args:
        features: H, the width of all levels.
        levels: number of levels.
        dropout: dropout rate, in [0, 1).

    Raises:
        ValueError: `levels` or `dropout` is out of range.
    """

    def __init__(self, features: int, levels: int, dropout: float) -> None:
        super().__init__()
        check_whole("levels", levels)
        check_number("dropout", dropout, "[0, 1)")
        self.dense = nn.ModuleList(dense(features, features) for _ in range(levels - 1))
        self.activation = ReLUDropout(dropout)

    def forward(self, h: Float[Tensor, "B T H"]) -> list[Float[Tensor, "B T H"]]:
        """Return the levels, h first."""
        levels = [h]
        for layer in self.dense:
            levels.append(self.activation(layer(levels[-1])))
        return levels
