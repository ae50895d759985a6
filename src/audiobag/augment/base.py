"""The base class of augmentations."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from audiobag.bags import Bags
from audiobag.labels import TrainingClips


class Augmentation(nn.Module):
    """An augmentation of training bags. A subclass implements `forward(bags) -> Bags`.

    Frames stay zero on padding, bags keep one frame or more, and the shape of the batch does not change. An
    augmentation has no parameters and no buffers, so it adds nothing to checkpoints.
    """

    before_others: ClassVar[bool] = False
    """Whether it must be applied before other augmentations, which may mix clips."""

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Learn about the training clips, before the first step; by default, do nothing.

        Raises:
            ValueError: the augmentation cannot be applied to these clips.
        """

    def forward(self, bags: Bags) -> Bags:
        """Return the augmented bags; the given bags stay as they are."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return the arguments, for the printed form of the module and for descriptions of runs."""
        own = {name: value for name, value in vars(self).items() if name != "training" and not name.startswith("_")}
        return ", ".join(f"{name}={value}" for name, value in own.items())
