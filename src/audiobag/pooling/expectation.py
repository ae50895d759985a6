"""The paper's view of pooling: the probability of a bag is an expectation over its frames."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import output_layer
from audiobag.kernels.weighted_mean import weighted_mean
from audiobag.pooling.measure import Measure


class Expectation(nn.Module):
    r"""Classifies a bag by the expectation of a frame classifier under a measure (eq. 4 and 7).

    $$F_k(B) = \sum_{t=1}^{T} p_k(x_t) f_k(x_t), \qquad f(x_t) = \sigma(W_f h_t + b_f)$$

    Everything after the matrix products is in fp32 under any precision, because 1 - 1e-7 rounds to 1 in bf16.

    Args:
        in_features: H.
        classes: K.
        measure: a `Measure` class or another callable that makes a measure from (in_features, classes).
        prior: initial probability of each class in a frame, in (0, 1).

    Raises:
        ValueError: `prior` is not in (0, 1).

    References:
        Kong et al. (2018), "Audio Set classification with attention model: a probabilistic perspective".
    """

    def __init__(
        self, in_features: int, classes: int, measure: Callable[[int, int], Measure], prior: float = 0.5
    ) -> None:
        super().__init__()
        self.classifier = output_layer(in_features, classes, prior)
        self.measure = measure(in_features, classes)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        f = self.classifier(h).float().sigmoid_()
        mean, p = weighted_mean(f, self.measure(h, f, mask), mask)
        # A mean of ones can round to slightly more than 1, which losses and metrics refuse.
        return BagPrediction(clip=mean.clamp(max=1), frame=f, measure=p)
