"""From frame probabilities to segments: stretches of time that show a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole


@dataclass(frozen=True, slots=True)
class Rule:
    """When a frame shows a class: its median-filtered f and the clip's F both reach the threshold.

    Attributes:
        threshold: between 0 and 1.
        median: width of the filter in frames, an odd number; 1 for no filter.

    Raises:
        ValueError: an attribute is out of range.
    """

    threshold: float
    median: int = 1

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, "(0, 1)")
        check_whole("median", self.median)
        if self.median % 2 == 0:
            raise InputError(f"median must be an odd number of frames, 1 for no filter, got {self.median}")


def runs(clip: float, frame: NDArray[np.floating], rule: Rule) -> list[tuple[int, int]]:
    """Return the segments of one clip that show one class, as (first frame, frame after the last).

    The clip's own probability must reach the threshold too, because f is not trained on frames where the measure is
    close to 0.

    Args:
        clip: F of the class.
        frame: f [T] of the class.
        rule: when a frame shows the class.
    """
    if clip < rule.threshold:
        return []
    from scipy.ndimage import median_filter  # most predictions have no segments

    smooth = median_filter(frame, size=rule.median, mode="nearest")
    change = np.flatnonzero(np.diff(smooth >= rule.threshold, prepend=False, append=False))
    return [(int(a), int(b)) for a, b in change.reshape(-1, 2)]
