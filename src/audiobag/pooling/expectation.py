"""The paper's view of pooling: a bag's probability is an expectation over its instances."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.linear import dense
from audiobag.pooling.mean import weighted_mean
from audiobag.pooling.measure import Measure


class Expectation(nn.Module):
    """F_k(B) = sum_t p_k(x_t) f_k(x_t) with f = sigmoid(W_f h + b_f) (eq. 4 and 7).

    Everything after the two matrix products is in fp32 under any precision: 1 - 1e-7 is 1 in bf16.

    Args:
        in_features: H.
        classes: K.
        measure: makes what gives v from (in_features, classes).
    """

    def __init__(self, in_features: int, classes: int, measure: Callable[[int, int], Measure]) -> None:
        super().__init__()
        self.classifier = dense(in_features, classes)
        self.measure = measure(in_features, classes)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        f = self.classifier(h).float().sigmoid_()
        mean, p = weighted_mean(f, self.measure(h, f, mask), mask)
        # Rounding can carry a mean of ones a bit above 1, which neither loss nor metric takes for a probability.
        return BagPrediction(clip=mean.clamp(max=1), frame=f, measure=p)
