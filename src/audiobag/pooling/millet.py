"""Additive and conjunctive pooling, of MILLET: attention scales the evidence of each frame, and logits are averaged."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import dense, output_layer
from audiobag.utils.values import check_whole

EPSILON = 1e-30


class _Millet(nn.Module, ABC):
    def __init__(self, in_features: int, classes: int, width: int = 8, prior: float = 0.5) -> None:
        super().__init__()
        check_whole("width", width)
        self.attention = nn.Sequential(dense(in_features, width), nn.Tanh(), dense(width, 1), nn.Sigmoid())
        self.classifier = output_layer(in_features, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        real = mask[..., None]
        a = self.attention(h)
        z = self._evidence(h, a)
        clip = ((z * real).sum(1) / mask.sum(1, keepdim=True)).sigmoid()
        v = a.detach().float().clamp(min=EPSILON) * real  # attention can underflow on all frames of a bag
        return BagPrediction(clip=clip, frame=z.sigmoid(), measure=(v / v.sum(1, keepdim=True)).expand_as(z))

    @abstractmethod
    def _evidence(self, h: Tensor, a: Tensor) -> Tensor:
        """Return the logits [B, T, K] of the frames in fp32."""


class Additive(_Millet):
    r"""Scales each embedded frame by attention, classifies the frames, and averages their logits.

    $$a_t = \sigma(w \cdot \tanh(V h_t + c) + d), \qquad z(x_t) = W (a_t h_t) + b, \qquad
    F(B) = \sigma \left( \frac{1}{T} \sum_{t=1}^{T} z(x_t) \right)$$

    All classes share the attention a. With a linear classifier, as here, it differs from `Conjunctive` only in that
    attention does not scale the bias.

    In a prediction, `frame` is $\sigma(z(x_t))$, which is F of the bag that holds this frame alone. `measure` is the
    share of a frame in the attention, $a_t / \sum_s a_s$. F is not the expectation of f under it.

    Args:
        in_features: H.
        classes: K.
        width: units of the attention's hidden layer; 8 in the authors' code.
        prior: probability whose log-odds are the initial bias b, in (0, 1).

    Raises:
        ValueError: `width` or `prior` is out of range.

    References:
        Early et al. (2024), "Inherently interpretable time series classification via multiple instance learning",
        arXiv:2311.10049, without its encoding of positions and its dropout; Javed et al. (2022), "Additive MIL",
        arXiv:2206.01794.
    """

    def _evidence(self, h: Tensor, a: Tensor) -> Tensor:
        evidence: Tensor = self.classifier(a * h).float()
        return evidence


class Conjunctive(_Millet):
    r"""Classifies the frames, scales their logits by attention, and averages them.

    $$a_t = \sigma(w \cdot \tanh(V h_t + c) + d), \qquad z(x_t) = a_t (W h_t + b), \qquad
    F(B) = \sigma \left( \frac{1}{T} \sum_{t=1}^{T} z(x_t) \right)$$

    All classes share the attention a.

    In a prediction, `frame` is $\sigma(z(x_t))$, which is F of the bag that holds this frame alone, so that a frame
    without attention has f = 0.5. `measure` is the share of a frame in the attention, $a_t / \sum_s a_s$. F is not the
    expectation of f under it.

    Args:
        in_features: H.
        classes: K.
        width: units of the attention's hidden layer; 8 in the authors' code.
        prior: probability whose log-odds are the initial bias b, in (0, 1).

    Raises:
        ValueError: `width` or `prior` is out of range.

    References:
        Early et al. (2024), "Inherently interpretable time series classification via multiple instance learning",
        arXiv:2311.10049, without its encoding of positions and its dropout.
    """

    def _evidence(self, h: Tensor, a: Tensor) -> Tensor:
        evidence: Tensor = a.float() * self.classifier(h).float()
        return evidence
