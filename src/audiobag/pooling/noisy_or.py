"""Noisy-or pooling: a bag has a class if any of its frames shows it."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import output_layer


class NoisyOr(nn.Module):
    r"""Classifies a bag by the probability that at least one frame shows the class, if frames were independent.

    $$F_k(B) = 1 - \prod_{t=1}^{T} (1 - f_k(x_t)), \qquad f(x_t) = \sigma(W_f h_t + b_f)$$

    F grows with the number of frames. It is computed from logits, so that it keeps its relative precision near 0. In a
    prediction, `frame` is f, which is F of the bag that holds this frame alone, and there is no measure.

    Args:
        in_features: H.
        classes: K.
        prior: initial probability of each class in a frame, in (0, 1).

    Raises:
        ValueError: `prior` is not in (0, 1).

    References:
        Wang, Li and Metze (2018), "Comparing the max and noisy-or pooling functions in multiple instance learning for
        weakly supervised sequence learning tasks", arXiv:1804.01146.
    """

    def __init__(self, in_features: int, classes: int, prior: float = 0.5) -> None:
        super().__init__()
        self.classifier = output_layer(in_features, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f."""
        z = self.classifier(h).float()
        log_none = (logsigmoid(-z) * mask[..., None]).sum(1)
        return BagPrediction(clip=-log_none.expm1(), frame=z.sigmoid(), measure=None)
