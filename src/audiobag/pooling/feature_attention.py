"""Feature-level attention: each feature has its own attention over the frames."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, dense, full_precision, output_layer
from audiobag.kernels.weighted_mean import weighted_mean
from audiobag.pooling.attention import EPSILON
from audiobag.utils.values import check_whole


class FeatureAttention(nn.Module):
    r"""Pools each feature of the frames with its own attention, and classifies the pooled features.

    $$a_j(x_t) = \mathrm{clip}(\sigma(W_a h_t + b_a)_j,\; 10^{-7},\; 1 - 10^{-7}), \qquad
    p_j(x_t) = \frac{a_j(x_t)}{\sum_s a_j(x_s)}$$

    $$u_j = \sum_{t=1}^{T} p_j(x_t) \, (W_v h_t + b_v)_j, \qquad F(B) = \sigma(W u + b)$$

    The attention and the linear values are those of the authors' code. That code has batch normalisation, a ReLU and
    dropout between the pooled features u and the output layer; this class has nothing between them.

    The attention belongs to features and not to classes, so the prediction has no measure. The probability of a frame
    is that of the bag that holds this frame alone, $\sigma(W (W_v h_t + b_v) + b)$.

    Args:
        in_features: H.
        classes: K.
        width: number of features; None for H.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `width` or `prior` is out of range.

    References:
        Kong et al. (2019), "Weakly labelled AudioSet tagging with attention neural networks" (arXiv:1903.00765).
    """

    def __init__(self, in_features: int, classes: int, width: int | None = None, prior: float = PRIOR) -> None:
        super().__init__()
        width = in_features if width is None else width
        check_whole("width", width, otherwise=", or null for that of the embedding")
        self.attention = dense(in_features, width)
        self.value = dense(in_features, width)
        self.output = output_layer(width, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f; the measure is None."""
        value = self.value(h)
        a = nn.functional.hardtanh(self.attention(h).float().sigmoid(), EPSILON, 1 - EPSILON)
        u, _ = weighted_mean(value.float(), a, mask)
        clip = full_precision(self.output, u).float().sigmoid()
        return BagPrediction(clip=clip, frame=self.output(value).float().sigmoid(), measure=None)
