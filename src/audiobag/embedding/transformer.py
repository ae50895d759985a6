"""A transformer encoder."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from audiobag.kernels.dense import dense
from audiobag.kernels.dropout import Dropout, ReLUDropout
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole

_STD = 0.02


class Transformer(nn.Module):
    r"""Embeds each frame in the context of its bag, with the encoder of a transformer.

    $$h^{(0)} = W x + b, \qquad z^{(l)} = h^{(l-1)} + \mathrm{dropout}(A_l(\mathrm{LN}(h^{(l-1)}))), \qquad
    h^{(l)} = z^{(l)} + \mathrm{dropout}(M_l(\mathrm{LN}(z^{(l)}))), \qquad h = \mathrm{LN}(h^{(\text{depth})})$$

    A is multi-head attention of each frame to the real frames of its bag, M two dense layers with a ReLU between, and
    LN layer normalisation, in front of each part (pre-norm). Without positions, the order of frames does not matter.

    Args:
        in_features: D.
        depth: number of layers.
        width: H.
        heads: number of heads; divides `width`.
        hidden: units between the two dense layers of M.
        dropout: dropout rate, in [0, 1).
        positions: number of learned positions, which are added to $h^{(0)}$; None to add none. Frames beyond
            the last position have the last.

    Raises:
        ValueError: an argument is out of range, or `heads` does not divide `width`.

    References:
        Vaswani et al. (2017), "Attention is all you need".
        Xiong et al. (2020), "On layer normalization in the transformer architecture".
    """

    def __init__(
        self,
        in_features: int,
        depth: int = 2,
        width: int = 512,
        heads: int = 8,
        hidden: int = 2048,
        dropout: float = 0.2,
        positions: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in {"depth": depth, "width": width, "heads": heads, "hidden": hidden}.items():
            check_whole(name, value)
        check_number("dropout", dropout, "[0, 1)")
        if width % heads:
            raise InputError(f"width must be a multiple of heads, got {width} for {heads} heads")
        self.project = dense(in_features, width)
        self.positions = None
        if positions is not None:
            check_whole("positions", positions, otherwise=", or null for none")
            self.positions = nn.Parameter(_STD * torch.randn(positions, width))
        self.layers = nn.ModuleList(_Layer(width, heads, hidden, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out_features = width

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """Return h; its values on padding are finite and arbitrary."""
        h = self.project(x)
        if self.positions is not None:
            t = torch.arange(x.shape[1], device=x.device).clamp(max=len(self.positions) - 1)
            h = h + self.positions[t]
        for layer in self.layers:
            h = layer(h, mask)
        normalised: Tensor = self.norm(h)
        return normalised


class _Layer(nn.Module):
    # nn.TransformerEncoderLayer runs a fused operation in evaluation that cannot be exported to ONNX.
    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (dense(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)
        self.expand, self.contract = dense(width, hidden), dense(hidden, width)
        self.dropout, self.activation = Dropout(dropout), ReLUDropout(dropout)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        x = self.attention_norm(h)
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        gathered = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        z = h + self.dropout(self.out(gathered.transpose(1, 2).flatten(2)))
        changed: Tensor = z + self.dropout(self.contract(self.activation(self.expand(self.norm(z)))))
        return changed

    def _split(self, x: Float[Tensor, "B T H"]) -> Float[Tensor, "B J T h"]:
        return x.view(*x.shape[:2], self.heads, x.shape[2] // self.heads).transpose(1, 2)
