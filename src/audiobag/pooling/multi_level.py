"""Attention pooling at several levels of an embedding."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, full_precision, output_layer
from audiobag.pooling.attention import SigmoidAttention
from audiobag.pooling.expectation import Expectation
from audiobag.pooling.levels import Levels


class MultiLevel(nn.Module):
    r"""Pools several levels with an `Expectation` under a `SigmoidAttention` each, and classifies their outputs.

    $$u^{(l)}_k = \sum_{t=1}^{T} p^{(l)}_k(x_t) f^{(l)}_k(x_t), \qquad
    F(B) = \sigma(W [u^{(1)}; \dots; u^{(L)}] + b)$$

    The first level is the output of the embedding. The others are those of dense layers of this pooling
    (see `Levels`), since a pooling sees only the last layer of the embedding: an `MLP` of depth 2 below a pooling of 2
    levels is the network of the source with 3 layers, of which the last two are pooled.

    The output layer mixes the classes of all levels, so the prediction has no measure. The probability of a frame is
    that of the bag that holds this frame alone.

    Args:
        in_features: H.
        classes: K.
        levels: L.
        dropout: dropout rate of the dense layers between the levels, in [0, 1).
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `levels`, `dropout` or `prior` is out of range.

    References:
        Yu et al. (2018), "Multi-level attention model for weakly supervised audio classification" (arXiv:1803.02353).
    """

    def __init__(
        self, in_features: int, classes: int, levels: int = 2, dropout: float = 0.2, prior: float = PRIOR
    ) -> None:
        super().__init__()
        self.levels = Levels(in_features, levels, dropout)
        self.poolings = nn.ModuleList(Expectation(in_features, classes, SigmoidAttention) for _ in range(levels))
        self.output = output_layer(levels * classes, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f; the measure is None."""
        of_levels = [pooling(level, mask) for pooling, level in zip(self.poolings, self.levels(h))]
        of_bag, of_frame = (torch.cat([getattr(one, name) for one in of_levels], -1) for name in ("clip", "frame"))
        clip = full_precision(self.output, of_bag).float().sigmoid()
        frame = self.output(of_frame.to(self.output.weight.dtype)).float().sigmoid()
        return BagPrediction(clip=clip, frame=frame, measure=None)
