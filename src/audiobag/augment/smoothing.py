"""Label smoothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from audiobag.augment.base import Augmentation
from audiobag.bags import Bags
from audiobag.labels import TrainingClips
from audiobag.utils.values import check_number


class LabelSmoothing(Augmentation):
    r"""Moves labels towards a constant or towards the frequency of their class.

    $$\tilde y_{nk} = (1 - \epsilon) y_{nk} + \epsilon u_k$$

    Source: Szegedy et al., "Rethinking the Inception architecture for computer vision" (2016).

    Args:
        epsilon: how far labels move, in [0, 1).
        towards: $u_k$ of all classes; None for the share of training clips that have class k (0 before
            `set_training_clips`). With rare classes, 0.5 raises the mean label far above their frequency.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, epsilon: float = 0.1, towards: float | None = None) -> None:
        super().__init__()
        check_number("epsilon", epsilon, "[0, 1)")
        if towards is not None:
            check_number("towards", towards, "[0, 1]", ", or null for the frequency of each class")
        self.epsilon, self.towards = epsilon, towards
        self._target = torch.tensor(float(towards or 0))  # u, [] or [K]

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Take the frequencies of the classes."""
        if self.towards is None:
            self._target = torch.from_numpy(clips.labels.counts / len(clips.labels)).float()

    def forward(self, bags: Bags) -> Bags:
        """Return the bags with other labels."""
        labels = bags.labels.float()
        self._target = self._target.to(labels.device)
        return replace(bags, labels=labels.lerp(self._target, self.epsilon))
