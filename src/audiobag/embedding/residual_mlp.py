"""Dense layers with residual connections, the same for each frame."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.embedding.mlp import MLP
from audiobag.utils.values import check_whole


class ResidualMLP(nn.Module):
    r"""Embeds each frame by itself, through layers that each add to the output of the layer before.

    $$h^{(1)} = \mathrm{dropout}(\max(N(W_1 x + b_1), 0)), \qquad
    h^{(l)} = h^{(l-1)} + \mathrm{dropout}(\max(N(W_l h^{(l-1)} + b_l), 0)), \qquad h = h^{(\text{depth})}$$

    N is batch normalisation over the real frames of the batch, or nothing.

    Args:
        in_features: D.
        depth: number of layers.
        width: H, the units of each layer.
        dropout: dropout rate, in [0, 1).
        batch_norm: use batch normalisation.

    Raises:
        ValueError: `depth`, `width` or `dropout` is out of range.

    References:
        He et al. (2016), "Deep residual learning for image recognition".
    """

    def __init__(
        self,
        in_features: int,
        depth: int = 3,
        width: int = 500,
        dropout: float = 0.2,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        check_whole("depth", depth)
        widths = [in_features] + [width] * (depth - 1)
        self.layers = nn.ModuleList(
            MLP(D, depth=1, width=width, dropout=dropout, batch_norm=batch_norm) for D in widths
        )
        self.out_features = width

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h; its values on padding are finite and arbitrary."""
        h: Tensor = self.layers[0](x, mask)
        for layer in self.layers[1:]:
            h = h + layer(h, mask)
        return h
