"""Attention and gated attention, which weight the embedded frames of a bag."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, dense, full_precision, output_layer
from audiobag.kernels.masked_softmax import masked_softmax
from audiobag.utils.values import check_whole


class BagAttention(nn.Module):
    r"""Classifies the mean of the embedded frames under one attention, which all classes share.

    $$p(x_t) = \frac{e^{z_t}}{\sum_s e^{z_s}}, \qquad z_t = w^\top \tanh(V h_t + b_V), \qquad
    F(B) = \sigma\left(W \sum_{t=1}^{T} p(x_t) h_t + b\right)$$

    tanh is nearly linear around 0; a gate makes z less linear in h:

    $$z_t = w^\top (\tanh(V h_t + b_V) \odot \sigma(U h_t + b_U)).$$

    The measure is p for all classes. The probability of a frame is that of the bag that holds this frame alone,
    $\sigma(W h_t + b)$.

    Args:
        in_features: H.
        classes: K.
        width: rows of V and U.
        gated: use the gate.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `width` or `prior` is out of range.

    References:
        Ilse, Tomczak and Welling (2018), "Attention-based deep multiple instance learning" (arXiv:1802.04712).
    """

    def __init__(
        self, in_features: int, classes: int, width: int = 128, gated: bool = False, prior: float = PRIOR
    ) -> None:
        super().__init__()
        check_whole("width", width)
        self.hidden = dense(in_features, width)
        self.gate = dense(in_features, width) if gated else None
        self.attention = nn.Linear(width, 1, bias=False)  # a bias would cancel in the softmax
        self.output = output_layer(in_features, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        hidden = self.hidden(h).tanh()
        if self.gate is not None:
            hidden = hidden * self.gate(h).sigmoid()
        p = masked_softmax(self.attention(hidden), mask)
        clip = full_precision(self.output, (p * h.float()).sum(1)).float().sigmoid()
        frame = self.output(h).float().sigmoid()
        return BagPrediction(clip=clip, frame=frame, measure=p.expand_as(frame))
