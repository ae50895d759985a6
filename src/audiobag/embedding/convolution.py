"""Convolutions over time."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.kernels.batch_norm import MaskedBatchNorm
from audiobag.kernels.dropout import ReLUDropout
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole


class Convolution(nn.Module):
    r"""Embeds each frame with its neighbours, through `depth` layers of [convolution, (batch norm,) ReLU, dropout].

    $$h^{(0)} = x, \qquad h^{(l)}_t = \mathrm{dropout}\left(\max\left(\sum_{s=-r}^{r} W_{l,s} h^{(l-1)}_{t+s} + b_l,
    0\right)\right), \qquad h = h^{(\text{depth})}$$

    Frames before the first and after the last frame of a bag, padding included, are zero in each layer. Weights are
    initialised by Glorot's rule.

    Args:
        in_features: D.
        depth: number of layers.
        width: H, the units of each layer.
        kernel: $2 r + 1$, the frames that a layer sees; odd.
        dropout: dropout rate, in [0, 1).
        batch_norm: normalise the units of each layer over the real frames of the batch, before the ReLU.

    Raises:
        ValueError: `depth`, `width`, `kernel` or `dropout` is out of range, or `kernel` is even.
    """

    def __init__(
        self,
        in_features: int,
        depth: int = 3,
        width: int = 500,
        kernel: int = 3,
        dropout: float = 0.2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"depth": depth, "width": width, "kernel": kernel}.items():
            check_whole(name, value)
        check_number("dropout", dropout, "[0, 1)")
        if kernel % 2 == 0:
            raise InputError(f"kernel must be odd, so that a layer sees as many frames before as after, got {kernel}")
        widths = [in_features] + [width] * (depth - 1)
        self.convolution = nn.ModuleList(_convolution(D, width, kernel) for D in widths)
        self.norm = nn.ModuleList(MaskedBatchNorm(width) for _ in range(depth if batch_norm else 0))
        self.activation = ReLUDropout(dropout)
        self.out_features = width

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h; its values on padding are finite and arbitrary."""
        for i, layer in enumerate(self.convolution):
            x = layer(x.masked_fill(~mask[..., None], 0.0).mT).mT
            if self.norm:
                x = self.norm[i](x, mask)
            x = self.activation(x.contiguous())
        return x


def _convolution(in_features: int, width: int, kernel: int) -> nn.Conv1d:
    layer = nn.Conv1d(in_features, width, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
