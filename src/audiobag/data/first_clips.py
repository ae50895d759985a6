"""A subset of the training clips to overfit on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.utils.values import check_whole


class FirstClips:
    """Selects the first clips that have a label.

    Args:
        count: number of clips.

    Raises:
        ValueError: `count` is not a positive whole number.
    """

    def __init__(self, count: int) -> None:
        check_whole("count", count)
        self.count = count

    def __call__(self, labels: LabelTable, video_id: NDArray[np.character]) -> NDArray[np.bool_]:
        """Return [N], true for the selected clips.

        Args:
            labels: labels of the N clips.
            video_id: [N].
        """
        labelled = np.diff(labels.offsets) > 0
        selected: NDArray[np.bool_] = labelled & (np.cumsum(labelled) <= self.count)
        return selected
