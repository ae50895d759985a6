"""The paper's embedded mapping g, and the mapping that does nothing."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.embedding.dropout import ReLUDropout
from audiobag.linear import dense
from audiobag.values import check_whole


class Identity(nn.Module):
    """h = x: pool the frames as they are."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Return x."""
        return x


class MLP(nn.Module):
    """h = g(x), each frame alone through `depth` layers of [dense, (batch norm,) ReLU, dropout].

    The paper's is 3 x 500 with dropout 0.2 and no batch norm (section 4.2).

    Args:
        in_features: D.
        depth: number of layers.
        width: H, units of each layer.
        dropout: the rate.
        batch_norm: normalise each layer's units over the real frames of the batch, before the ReLU.
    """

    def __init__(
        self,
        in_features: int,
        depth: int = 3,
        width: int = 500,
        dropout: float = 0.2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        check_whole("embedding.depth", depth)
        check_whole("embedding.width", width)
        widths = [in_features] + [width] * depth
        self.dense = nn.ModuleList(dense(a, b) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(depth if batch_norm else 0))
        self.activation = ReLUDropout(dropout)
        self.out_features = widths[-1]

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h; on padding it is finite and means nothing."""
        for i, layer in enumerate(self.dense):
            x = layer(x)
            if self.norm:
                # Padding must not count in the statistics.
                x = x.masked_scatter(mask[..., None], self.norm[i](x[mask]))
            x = self.activation(x)
        return x
