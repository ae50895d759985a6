"""Pooling by multi-head attention, from the set transformer."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, dense, full_precision, output_layer
from audiobag.kernels.masked_softmax import masked_softmax
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_whole


class SetTransformer(nn.Module):
    r"""Lets learned seeds attend to the frames, and classifies what they gather.

    For seed i and head j, with queries $q = W_q S + b_q$ of the seeds S, keys $k_t = W_k h_t + b_k$ and values
    $v_t = W_v h_t + b_v$, which are split among the heads,

    $$p_{ij}(x_t) = \mathrm{softmax}_t\!\left(\frac{q_{ij}^\top k_{tj}}{\sqrt{W / J}}\right), \qquad
    o_i = \mathrm{LN}\!\left(q_i + \Big[\sum_{t=1}^{T} p_{ij}(x_t) v_{tj}\Big]_j\right), \qquad
    u_i = \mathrm{LN}(o_i + \max(W_o o_i + b_o, 0))$$

    $$F(B) = \sigma(W [u_1; \dots; u_I] + b)$$

    LN is layer normalisation. Padding has no weight. The measure is the mean of $p_{ij}$ over seeds and heads, and the
    same for all classes; F is not an expectation. The probability of a frame is that of the bag that holds this frame
    alone.

    Args:
        in_features: H.
        classes: K.
        width: W, the size of a seed, a query and a value.
        heads: J; divides `width`.
        seeds: I.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `width`, `heads`, `seeds` or `prior` is out of range, or `heads` does not divide `width`.

    References:
        Lee et al. (2019), "Set transformer: a framework for attention-based permutation-invariant neural networks"
        (arXiv:1810.00825).
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        width: int = 512,
        heads: int = 4,
        seeds: int = 1,
        prior: float = PRIOR,
    ) -> None:
        super().__init__()
        for name, value in {"width": width, "heads": heads, "seeds": seeds}.items():
            check_whole(name, value)
        if width % heads:
            raise InputError(f"width must be a multiple of heads, got {width} for {heads} heads")
        self.heads, self.scale = heads, math.sqrt(width / heads)
        self.seeds = nn.Parameter(torch.empty(seeds, width))
        nn.init.xavier_uniform_(self.seeds)
        self.query = dense(width, width)
        self.key = dense(in_features, width)
        self.value = dense(in_features, width)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = dense(width, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.output = output_layer(seeds * width, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        query, key, value = self.query(self.seeds), self.key(h), self.value(h)
        z = torch.einsum("ijw,btjw->btij", self._split(query), self._split(key)) / self.scale
        p = masked_softmax(z.flatten(2), mask).view_as(z)
        gathered = torch.einsum("btij,btjw->bijw", p.to(value.dtype), self._split(value)).flatten(2)
        clip = full_precision(self.output, self._transform(query + gathered)).float().sigmoid()
        frame = self.output(self._transform(query + value[:, :, None])).float().sigmoid()
        measure = p.mean((2, 3))[..., None].expand_as(frame)
        return BagPrediction(clip=clip, frame=frame, measure=measure)

    def _split(self, x: Float[Tensor, "*batch W"]) -> Float[Tensor, "*batch J w"]:
        return x.view(*x.shape[:-1], self.heads, x.shape[-1] // self.heads)

    def _transform(self, gathered: Float[Tensor, "*batch I W"]) -> Float[Tensor, "*batch IW"]:
        o = self.norm(gathered.to(self.norm.weight.dtype))
        u: Tensor = self.feed_forward_norm(o + self.feed_forward(o).relu())
        return u.flatten(-2)
