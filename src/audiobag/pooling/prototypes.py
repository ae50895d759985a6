"""Poolings that compare the frames with learned prototypes, made to probe frozen features."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, full_precision, output_layer
from audiobag.pooling.levels import Levels
from audiobag.utils.values import check_whole

_STD = 0.02  # from the authors' code


class Prototypes(nn.Module):
    r"""Classifies a bag by how closely any of its frames resembles each of many prototypes.

    $$s_j(x_t) = \frac{\pi_j^\top h_t}{\lVert \pi_j \rVert \lVert h_t \rVert}, \qquad
    F(B) = \sigma(W u + b), \qquad u_j = \max_t s_j(x_t)$$

    The prototypes are $\pi_j = \mathrm{sign}(\tilde{\pi}_j)$ if binary, whose gradient goes straight through to
    $\tilde{\pi}_j$, or $\tilde{\pi}_j$ itself. They belong to no class, so the prediction has no measure. The
    probability of a frame is that of the bag that holds this frame alone, $\sigma(W s(x_t) + b)$.

    Args:
        in_features: H.
        classes: K.
        prototypes: number of prototypes; the source has 10,000.
        binary: use the signs of the prototypes.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `prototypes` or `prior` is out of range.

    References:
        Rauch et al. (2026), "Unmute the patch tokens: rethinking probing in multi-label audio classification"
        (arXiv:2509.24901).
    """

    def __init__(
        self, in_features: int, classes: int, prototypes: int = 1000, binary: bool = True, prior: float = PRIOR
    ) -> None:
        super().__init__()
        check_whole("prototypes", prototypes)
        self.binary = binary
        self.prototypes = nn.Parameter(_STD * torch.randn(prototypes, in_features))
        self.output = output_layer(prototypes, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f; the measure is None."""
        prototypes = _binary(self.prototypes) if self.binary else self.prototypes
        s = linear(normalize(h.to(prototypes.dtype), dim=-1), normalize(prototypes, dim=-1))
        clip = full_precision(self.output, _largest(s, mask)).float().sigmoid()
        return BagPrediction(clip=clip, frame=self.output(s).float().sigmoid(), measure=None)


def _binary(prototypes: Float[Tensor, "J H"]) -> Float[Tensor, "J H"]:
    signs = torch.where(prototypes >= 0, 1.0, -1.0).to(prototypes.dtype)
    return signs + (prototypes - prototypes.detach())


class GatedPrototypes(nn.Module):
    r"""Compares prototypes with a convex mixture of several levels, and reads the extremes and the mean of the bag.

    $$\bar{h}_t = \sum_{l=1}^{L} g_l \frac{h^{(l)}_t}{\lVert h^{(l)}_t \rVert}, \qquad
    g = \mathrm{softmax}(\gamma), \qquad s_j(x_t) = \frac{\pi_j^\top \bar{h}_t}{\lVert \pi_j \rVert}$$

    $$F(B) = \sigma\left(W \left[\min_t s(x_t);\; \tfrac{1}{T} \sum_t s(x_t);\; \max_t s(x_t)\right] + b\right)$$

    The gate g is convex: weights of levels that sum to 1. In the source, convex gated probing, the levels are the
    layers of a frozen encoder. Stored frames hold one layer, so here they are the output of the embedding and of dense
    layers of this pooling (see `Levels`). The prediction has no measure, and the probability of a frame is that of the
    bag that holds this frame alone.

    Args:
        in_features: H.
        classes: K.
        prototypes: number of prototypes; the source has 10,000.
        levels: L.
        dropout: dropout rate of the dense layers between the levels, in [0, 1).
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `prototypes`, `levels`, `dropout` or `prior` is out of range.

    References:
        Ghaffari et al. (2026), "BAT: better audio transformer guided by convex gated probing" (arXiv:2602.16305).
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        prototypes: int = 1000,
        levels: int = 2,
        dropout: float = 0.2,
        prior: float = PRIOR,
    ) -> None:
        super().__init__()
        check_whole("prototypes", prototypes)
        self.levels = Levels(in_features, levels, dropout)
        self.gate = nn.Parameter(torch.zeros(levels))
        self.prototypes = nn.Parameter(_STD * torch.randn(prototypes, in_features))
        self.output = output_layer(3 * prototypes, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f; the measure is None."""
        dtype = self.prototypes.dtype
        gate = self.gate.softmax(0).unbind()
        mixture = torch.stack([g * normalize(x.to(dtype), dim=-1) for g, x in zip(gate, self.levels(h))]).sum(0)
        s = linear(mixture, normalize(self.prototypes, dim=-1))
        real = mask[..., None]
        mean = (s.to(dtype) * real).sum(1) / real.sum(1)
        u = torch.cat([-_largest(-s, mask), mean, _largest(s, mask)], -1)
        clip = full_precision(self.output, u).float().sigmoid()
        least, middle, largest = self.output.weight.chunk(3, 1)  # a single frame is all three
        frame = linear(s, least + middle + largest, self.output.bias).float().sigmoid()
        return BagPrediction(clip=clip, frame=frame, measure=None)


def _largest(s: Float[Tensor, "B T J"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B J"]:
    return s.masked_fill(~mask[..., None], float("-inf")).amax(1)
