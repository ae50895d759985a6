"""Several attention poolings side by side."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.pooling.attention import SigmoidAttention
from audiobag.pooling.expectation import Expectation
from audiobag.utils.values import check_whole


class MultiHead(nn.Module):
    r"""A learned mean of several `Expectation`s under a `SigmoidAttention`, each with its own classifier.

    $$F_k(B) = \sum_{i=1}^{I} w_i \sum_{t=1}^{T} p_{ik}(x_t) f_{ik}(x_t), \qquad
    w = \mathrm{softmax}(\omega)$$

    All heads count the same at first. The softmax keeps F a probability; the weights of the source are unconstrained.

    The prediction has $f_k = \sum_i w_i f_{ik}$, which is the probability of the bag that holds this frame alone, and
    the mean attention $p_k = \sum_i w_i p_{ik}$. F is not the expectation of this f under this p.

    Args:
        in_features: H.
        classes: K.
        heads: I, number of heads.
        prior: initial probability of each class in a frame, in (0, 1).

    Raises:
        ValueError: `heads` or `prior` is out of range.

    References:
        Gong, Chung and Glass (2021), "PSLA: improving audio tagging with pretraining, sampling, labeling, and
        aggregation" (arXiv:2102.01243).
    """

    def __init__(self, in_features: int, classes: int, heads: int = 4, prior: float = 0.5) -> None:
        super().__init__()
        check_whole("heads", heads)
        self.heads = nn.ModuleList(Expectation(in_features, classes, SigmoidAttention, prior) for _ in range(heads))
        self.weight = nn.Parameter(torch.zeros(heads))

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        of_heads = [head(h, mask) for head in self.heads]
        weights = self.weight.float().softmax(0).unbind()
        clip, frame, measure = (
            sum(w * getattr(one, name) for w, one in zip(weights, of_heads)) for name in ("clip", "frame", "measure")
        )
        # A mean of ones can round to slightly more than 1, which losses and metrics refuse.
        return BagPrediction(clip=clip.clamp(max=1), frame=frame.clamp(max=1), measure=measure)
