"""Recurrent embeddings."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from audiobag.kernels.dropout import Dropout
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole


class Recurrent(nn.Module):
    """Base class of `GRU` and `LSTM`: layers of the class `cell`, whose name in lower case is in the state dict."""

    cell: ClassVar[type[nn.GRU] | type[nn.LSTM]]

    def __init__(
        self, in_features: int, depth: int = 2, width: int = 500, dropout: float = 0.2, bidirectional: bool = True
    ) -> None:
        super().__init__()
        check_whole("depth", depth)
        check_whole("width", width)
        check_number("dropout", dropout, "[0, 1)")
        directions = 1 + bidirectional
        if width % directions:
            raise InputError(f"width must be even for a bidirectional {self.cell.__name__}, got {width}")
        layers = self.cell(
            in_features,
            width // directions,
            depth,
            batch_first=True,
            dropout=dropout if depth > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.name = self.cell.__name__.lower()
        self.add_module(self.name, layers)
        self.dropout = Dropout(dropout)
        self.out_features = width

    @property
    def layers(self) -> nn.RNNBase:
        """The recurrent layers."""
        layers = self.get_submodule(self.name)
        assert isinstance(layers, nn.RNNBase)
        return layers

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h, which is zero on padding."""
        # Packing makes the backward direction start at the last real frame of each bag.
        packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.layers(packed)[0], batch_first=True, total_length=x.shape[1])
        dropped: Tensor = self.dropout(h)
        return dropped


class GRU(Recurrent):
    r"""Embeds each frame in the context of its bag, with `depth` layers of gated recurrent units.

    $$h_t = \mathrm{GRU}(x_1, \dots, x_t), \quad \text{or } h_t = [\overrightarrow{\mathrm{GRU}}(x_1, \dots, x_t);
    \overleftarrow{\mathrm{GRU}}(x_T, \dots, x_t)] \text{ if bidirectional}$$

    Dropout follows each layer. The paper reports a recurrent network with global average pooling (Table 3) without
    its cell, depth, width or direction; the defaults are this package's choice.

    Args:
        in_features: D.
        depth: number of layers.
        width: H; a bidirectional GRU gives half of it to each direction.
        dropout: dropout rate, in [0, 1).
        bidirectional: also read the bag backwards.

    Raises:
        ValueError: `depth`, `width` or `dropout` is out of range, or `width` is odd and `bidirectional` is true.
    """

    cell = nn.GRU


class LSTM(Recurrent):
    r"""Embeds each frame in the context of its bag, with `depth` layers of long short-term memory.

    $$h_t = \mathrm{LSTM}(x_1, \dots, x_t), \quad \text{or } h_t = [\overrightarrow{\mathrm{LSTM}}(x_1, \dots, x_t);
    \overleftarrow{\mathrm{LSTM}}(x_T, \dots, x_t)] \text{ if bidirectional}$$

    Dropout follows each layer.

    Args:
        in_features: D.
        depth: number of layers.
        width: H; a bidirectional LSTM gives half of it to each direction.
        dropout: dropout rate, in [0, 1).
        bidirectional: also read the bag backwards.

    Raises:
        ValueError: `depth`, `width` or `dropout` is out of range, or `width` is odd and `bidirectional` is true.

    References:
        Hochreiter and Schmidhuber (1997), "Long short-term memory".
    """

    cell = nn.LSTM
