"""An embedding with long short-term memory."""

from __future__ import annotations

from torch import nn

from audiobag.embedding.recurrent import Recurrent


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
