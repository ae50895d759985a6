"""Log-sum-exp pooling: a smooth maximum."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import output_layer
from audiobag.utils.values import check_number


class LogSumExp(nn.Module):
    r"""Classifies a bag by a smooth maximum of its frames.

    $$F_k(B) = \frac{1}{r} \log \left( \frac{1}{T} \sum_{t=1}^{T} e^{r f_k(x_t)} \right), \qquad
    f(x_t) = \sigma(W_f h_t + b_f)$$

    A sharpness r close to 0 approaches average pooling, a large one max pooling.

    In a prediction, `frame` is f, which is F of the bag that holds this frame alone. `measure` is the share of a frame
    in the gradient of F. F is not the expectation of f under it.

    $$p_k(x_t) = \frac{\partial F_k}{\partial f_k(x_t)} = \frac{e^{r f_k(x_t)}}{\sum_s e^{r f_k(x_s)}}$$

    Args:
        in_features: H.
        classes: K.
        r: sharpness, positive.
        prior: initial probability of each class in a frame, in (0, 1).

    Raises:
        ValueError: `r` is not a positive number, or `prior` is not in (0, 1).

    References:
        Pinheiro and Collobert (2015), "From image-level to pixel-level labeling with convolutional networks",
        arXiv:1411.6228.
    """

    def __init__(self, in_features: int, classes: int, r: float = 5.0, prior: float = 0.5) -> None:
        super().__init__()
        check_number("r", r, "(0, inf)")
        self.classifier = output_layer(in_features, classes, prior)
        self.r = float(r)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        real = mask[..., None]
        f = self.classifier(h).float().sigmoid()
        # The largest f is taken out of the sum, so that nothing overflows; expm1 and log1p keep the relative precision
        # of small f. It needs no gradient, since F does not depend on what is taken out.
        top = f.detach().masked_fill(~real, 0.0).amax(1, keepdim=True)
        excess = (self.r * (f - top).masked_fill(~real, 0.0)).expm1()
        clip = top[:, 0] + (excess.sum(1) / mask.sum(1, keepdim=True)).log1p() / self.r
        weights = (excess.detach() + 1) * real
        return BagPrediction(clip=clip.clamp(0, 1), frame=f, measure=weights / weights.sum(1, keepdim=True))
