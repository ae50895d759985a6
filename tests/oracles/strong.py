"""Frames that show a class, counted in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def shows(events: Sequence[tuple[float, float]], frames: int) -> NDArray[np.bool_]:
    """Return [T] for the events (start, end) of one class in one clip with frames of a second."""
    heard = np.zeros(1000 * frames, bool)
    for start, end in events:
        heard[round(1000 * start) : round(1000 * end)] = True
    found = heard.reshape(frames, 1000).sum(1) >= 100
    for start, end in events:
        alone = np.zeros(1000 * frames, bool)
        alone[round(1000 * start) : round(1000 * end)] = True
        each = alone.reshape(frames, 1000).sum(1)
        if 0 < each.max() < 100:
            found[each.argmax()] = True
    return found
