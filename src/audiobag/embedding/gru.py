"""The recurrent embedding of the paper's "RNN average pooling" row."""

from __future__ import annotations

from torch import nn

from audiobag.embedding.recurrent import Recurrent


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
