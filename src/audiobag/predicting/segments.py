"""From frames to stretches of time: where a class is heard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from audiobag.errors import UserError
from audiobag.values import check_number, check_whole


class Rule(NamedTuple):
    """When a frame shows a class: its median-filtered f reaches the threshold, and so does F of the clip.

    Attributes:
        threshold: between 0 and 1.
        median: frames of the filter, an odd number; 1 for none.
    """

    threshold: float
    median: int

    def check(self) -> None:
        """Refuse what can be no rule.

        Raises:
            UserError: names the value.
        """
        check_number("threshold", self.threshold, "(0, 1)")
        check_whole("median", self.median)
        if self.median % 2 == 0:
            raise UserError(f"median={self.median}; expected an odd number of frames, 1 for no filter")


def runs(clip: float, frame: NDArray[np.floating], rule: Rule) -> list[tuple[int, int]]:
    """Return the stretches of one clip that show one class, as (first frame, frame after the last).

    The clip's own probability must reach the threshold too: f of a frame that the measure leaves out was never
    trained, and says little.

    Args:
        clip: F of the class.
        frame: f [T] of the class.
        rule: when a frame shows it.
    """
    if clip < rule.threshold:
        return []
    smooth = median_filter(frame, size=rule.median, mode="nearest")
    change = np.flatnonzero(np.diff(smooth >= rule.threshold, prepend=False, append=False))
    return [(int(a), int(b)) for a, b in change.reshape(-1, 2)]
