"""The recurrent embedding of the paper's "RNN average pooling" row."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from audiobag.embedding.dropout import Dropout
from audiobag.errors import UserError
from audiobag.values import check_whole


class GRU(nn.Module):
    """h_t = GRU(x_1 .. x_t), or with the frames after t as well when bidirectional.

    The paper names a recurrent network with global average pooling (Table 3) but neither its cell, depth, width
    nor direction. Ours: `depth` layers of `width` units (halved in each direction if bidirectional, so that H is
    `width` either way), dropout between the layers and after the last.

    Args:
        in_features: D.
        depth: number of layers.
        width: H.
        dropout: the rate.
        bidirectional: read the bag backwards too.
    """

    def __init__(
        self,
        in_features: int,
        depth: int = 2,
        width: int = 500,
        dropout: float = 0.2,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        directions = 1 + bidirectional
        check_whole("embedding.depth", depth)
        check_whole("embedding.width", width)
        if width % directions:
            raise UserError(f"embedding.width={width} is odd: a bidirectional GRU gives half to each direction")
        self.gru = nn.GRU(
            in_features,
            width // directions,
            depth,
            batch_first=True,
            dropout=dropout if depth > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.dropout = Dropout(dropout)
        self.out_features = width

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h, zero on padding. Bags are packed, so that a backward pass starts at a bag's own last frame."""
        packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.shape[1])
        dropped: Tensor = self.dropout(h)
        return dropped
