"""The base class of samplers."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.utils.errors import InputError

_LOG = logging.getLogger(__name__)


class Sampler(ABC):
    """Chooses the clips of each training batch, as a pure function of (seed, step).

    The choice is therefore the same on every rank and after a restart. There are no epochs: a sampler is an endless
    stream of clips that is cut into batches, and a batch may hold the end of one pass and the start of the next.

    All samplers have the same arguments.

    Args:
        labels: labels of the N training clips.
        batch_size: clips of a global batch, over all ranks.
        seed: seed of the stream.
    """

    def __init__(self, labels: LabelTable, batch_size: int, seed: int) -> None:
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed

    def _check_labelled(self) -> None:
        """Log the number of clips without labels, which a sampler that draws by class never draws.

        Raises:
            ValueError: no clip has a label.
        """
        clips = len(self.labels)
        if unlabelled := int(np.sum(np.diff(self.labels.offsets) == 0)):
            if unlabelled == clips:
                raise InputError(
                    f"labels must have at least one label to draw by class, and none of the {clips} training clips has"
                    " one: label some, or use uniform sampling"
                )
            _LOG.info("%d of %d training clips have no label and are never drawn", unlabelled, clips)

    @abstractmethod
    def draw(self, step: int) -> NDArray[np.int64]:
        """Return the clips [batch_size] of the global batch of `step`, as rows of `labels`.

        Args:
            step: optimiser step, counted from 0.
        """
