"""The embedding of the paper: the same dense layers for each frame."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.kernels.batch_norm import MaskedBatchNorm
from audiobag.kernels.dense import dense
from audiobag.kernels.dropout import ReLUDropout
from audiobag.utils.values import check_number, check_whole


class MLP(nn.Module):
    r"""Embeds each frame by itself, through `depth` layers of [dense, (batch norm,) ReLU, dropout].

    $$h^{(0)} = x, \qquad h^{(l)} = \mathrm{dropout}(\max(W_l h^{(l-1)} + b_l, 0)), \qquad h = h^{(\text{depth})}$$

    The paper has 3 layers of 500 units, dropout 0.2 and no batch normalisation (section 4.2). Kong et al. (2019) have 3
    layers of 1,024 units, dropout 0.5 and batch normalisation of the input and of each layer.

    Args:
        in_features: D.
        depth: number of layers.
        width: H, the units of each layer.
        dropout: dropout rate, in [0, 1).
        batch_norm: normalise the units of each layer over the real frames of the batch, before the ReLU.
        input_norm: normalise x in the same way, before the first layer.

    Raises:
        ValueError: `depth`, `width` or `dropout` is out of range.
    """

    def __init__(
        self,
        in_features: int,
        depth: int = 3,
        width: int = 500,
        dropout: float = 0.2,
        batch_norm: bool = False,
        input_norm: bool = False,
    ) -> None:
        super().__init__()
        check_whole("depth", depth)
        check_whole("width", width)
        check_number("dropout", dropout, "[0, 1)")
        widths = [in_features] + [width] * depth
        self.input_norm = MaskedBatchNorm(in_features) if input_norm else None
        self.dense = nn.ModuleList(dense(a, b) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(MaskedBatchNorm(width) for _ in range(depth if batch_norm else 0))
        self.activation = ReLUDropout(dropout)
        self.out_features = width

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h; its values on padding are finite and arbitrary."""
        if self.input_norm is not None:
            x = self.input_norm(x, mask)
        for i, layer in enumerate(self.dense):
            x = layer(x)
            if self.norm:
                x = self.norm[i](x, mask)
            x = self.activation(x)
        return x
