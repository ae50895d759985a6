"""Augmentations that remove or reorder the frames of a bag."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from audiobag.augment.base import Augmentation
from audiobag.bags import Bags
from audiobag.utils.values import check_number


class FrameDropout(Augmentation):
    r"""Removes each frame of a bag with a probability, and keeps at least one frame.

    Frame t is kept if $u_t \ge \mathrm{rate}$ or $u_t = \max_s u_s$, with $u_t \sim U[0, 1)$. The frames that are kept
    stay in their order and move to the front, so that the rest of the bag is padding.

    Args:
        rate: probability that a frame is removed.

    Raises:
        ValueError: `rate` is not in [0, 1).
    """

    def __init__(self, rate: float = 0.3) -> None:
        super().__init__()
        check_number("rate", rate, "[0, 1)")
        self.rate = rate

    def forward(self, bags: Bags) -> Bags:
        """Return the shortened bags."""
        u = _uniform(bags.mask)
        keep = (u >= self.rate) | ((u == u.amax(1, keepdim=True)) & bags.mask)
        shorter = _reordered(bags, keep.byte().argsort(dim=1, descending=True, stable=True), keep.sum(1))
        return replace(shorter, frames=shorter.frames.masked_fill(~shorter.mask[..., None], 0))


class FrameShuffle(Augmentation):
    """Puts the frames of each bag into a random order, for models in which the order matters but should not."""

    def forward(self, bags: Bags) -> Bags:
        """Return the bags with their frames in another order."""
        return _reordered(bags, _uniform(bags.mask).argsort(dim=1, descending=True), bags.lengths)


def _uniform(mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return random numbers in [0, 1) on real frames and -1 on padding."""
    return torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1.0)


def _reordered(bags: Bags, order: Int64[Tensor, "B T"], lengths: Int64[Tensor, " B"]) -> Bags:
    """Return bags that have frame `order[n, t]` at t."""
    return replace(bags, frames=bags.frames.gather(1, order[..., None].expand_as(bags.frames)), lengths=lengths)
