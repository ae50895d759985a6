"""Binary cross-entropy of the clip or of each of its frames."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.cross_entropy import cross_entropy

Labels = Bool[Tensor, "B K"] | Float[Tensor, "B K"]


class ClipBCE(nn.Module):
    r"""Binary cross-entropy of the clip's probabilities, the loss of the paper.

    $$L = -\frac{1}{BK} \sum_{n, k} \left[ y_{nk} \log F_{nk} + (1 - y_{nk}) \log(1 - F_{nk}) \right]$$

    Labels y may be numbers in [0, 1]. The loss is in fp32 under any precision, and logarithms are clamped to at least
    -100.
    """

    def forward(self, prediction: BagPrediction, labels: Labels, mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Return L."""
        return cross_entropy(prediction.clip, labels).mean()


class FrameBCE(nn.Module):
    r"""Binary cross-entropy of each frame against the labels of its bag: Google's frame-level baseline (Table 3).

    $$L = -\frac{1}{BK} \sum_{n, k} \frac{1}{T_n} \sum_{t=1}^{T_n}
    \left[ y_{nk} \log f_{ntk} + (1 - y_{nk}) \log(1 - f_{ntk}) \right]$$

    Clips with few frames weigh as much as clips with many, so the mean of the losses of equal shares of a batch is the
    loss of the batch.
    """

    def forward(self, prediction: BagPrediction, labels: Labels, mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Return L."""
        frame = prediction.frame
        losses = cross_entropy(frame, labels[:, None].expand_as(frame)).mean(2)
        return ((losses * mask).sum(1) / mask.sum(1)).mean()
