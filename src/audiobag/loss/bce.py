"""Binary cross-entropy, of the clip or of each of its frames.

Both take probabilities, in fp32 under any precision: probabilities are what a pooling gives, and torch refuses
them under autocast on CUDA. Logarithms are bounded at -100, as torch does.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from audiobag.bags import BagPrediction


class ClipBCE(nn.Module):
    """-mean over clips and classes of [y log F + (1 - y) log(1 - F)]: the paper's loss."""

    def forward(
        self,
        prediction: BagPrediction,
        labels: Bool[Tensor, "B K"],
        mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """Return the mean."""
        return _cross_entropy(prediction.clip, labels).mean()


class FrameBCE(nn.Module):
    """The same of f for each frame, which inherits its bag's labels: Google's frame-level baseline (Table 3).

    The mean is taken over the real frames of a clip first and then over the clips, so that every clip weighs the
    same and a batch split among ranks has the loss of the whole.
    """

    def forward(
        self, prediction: BagPrediction, labels: Bool[Tensor, "B K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Return the mean."""
        frame = prediction.frame
        losses = _cross_entropy(frame, labels[:, None].expand_as(frame)).mean(2)
        return ((losses * mask).sum(1) / mask.sum(1)).mean()


def _cross_entropy(probability: Tensor, labels: Tensor) -> Tensor:
    with torch.autocast(probability.device.type, enabled=False):
        return binary_cross_entropy(probability.float(), labels.float(), reduction="none")
