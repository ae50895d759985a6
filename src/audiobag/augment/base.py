"""What all augmentations share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from audiobag.bags import Bags
from audiobag.labels import LabelTable


@dataclass(frozen=True, slots=True)
class TrainingClips:
    """What an augmentation may know of the N clips that a model is trained on.

    Attributes:
        video_id: [N]; `Bags.index` counts the clips in this order.
        labels: their labels.
        mids: machine id of each of the K classes.
        scale: factor that dequantises a stored frame.
    """

    video_id: NDArray[np.character]
    labels: LabelTable
    mids: Sequence[str]
    scale: float = 1.0


class Augmentation(nn.Module):
    """An augmentation of training bags. A subclass implements `forward(bags) -> Bags`.

    Frames stay zero on padding, bags keep one frame or more, and the shape of the batch stays. An augmentation has no
    parameters and no buffers, so it adds nothing to checkpoints.
    """

    def setup(self, clips: TrainingClips) -> None:
        """Learn about the training clips, before the first step. Most augmentations need not.

        Raises:
            ValueError: the augmentation cannot be applied to these clips.
        """

    def forward(self, bags: Bags) -> Bags:
        """Return the augmented bags; the given bags stay as they are."""
        raise NotImplementedError
