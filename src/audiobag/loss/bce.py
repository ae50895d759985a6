"""Binary cross-entropy, of the clip or of each of its frames.

Both take probabilities, in fp32 under any precision: probabilities are what a pooling gives, and torch refuses
them under autocast on CUDA. Logarithms are bounded at -100, as torch does.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
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
        p, y = probability.float(), labels.float()
        if p.device.type != "cpu":
            return binary_cross_entropy(p, y, reduction="none")
        return _CrossEntropy.apply(p, y)  # type: ignore[no-any-return,no-untyped-call]


class _CrossEntropy(torch.autograd.Function):
    """torch's own, whose CPU kernel takes one logarithm after another, with torch's vectorised ones instead."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(p, y)
        absent = (-p).log1p_().clamp_(min=-100)
        return absent.lerp_(p.log().clamp_(min=-100), y).neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        p, y = ctx.saved_tensors
        return torch.ops.aten.binary_cross_entropy_backward(gradient, p, y, None, 0), None
