"""Noise on the frames."""

from __future__ import annotations

from dataclasses import replace

import torch

from audiobag.augment.base import Augmentation
from audiobag.bags import Bags
from audiobag.labels import TrainingClips
from audiobag.utils.values import check_number


class GaussianNoise(Augmentation):
    r"""Adds Gaussian noise to each number of a frame.

    $$\tilde x_{nt} = x_{nt} + \mathrm{std} \cdot z_{nt}, \qquad z_{nt} \sim \mathcal{N}(0, I)$$

    Args:
        std: standard deviation, in units of the dequantised frames: those of AudioSet lie in [-1, 1). Before
            `set_training_clips`, which gives the scale of the stored frames, in units of the stored frames.

    Raises:
        ValueError: `std` is negative.
    """

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        check_number("std", std, "[0, inf)")
        self.std = std
        self._scale = 1.0

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Take the scale of the stored frames."""
        self._scale = clips.scale

    def forward(self, bags: Bags) -> Bags:
        """Return the bags with noise on their real frames, in fp32."""
        frames = bags.frames.float()
        noisy = frames + torch.randn_like(frames) * (self.std / self._scale)
        return replace(bags, frames=noisy * bags.mask[..., None])
