"""From frame probabilities to segments: stretches of time that show a class, joined where clips of a recording meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.records import Clip
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole

_SAME = 1e-3  # seconds; times are floats of single precision


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


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time that shows a class.

    Attributes:
        index: the class.
        probability: F of the clip; of several clips, the highest.
        start_seconds: in the recording.
        end_seconds: in the recording.
        frame: mean of f over the frames.
        measure: sum of p over the frames; None for a model without a measure. Across several clips it can exceed
            1, since it sums to 1 in each.
    """

    index: int
    probability: float
    start_seconds: float
    end_seconds: float
    frame: float
    measure: float | None


def end_of(clip: Clip, start: float, seconds: float) -> float:
    """Return when a clip ends: with its recording, if that ends within the clip's last frame, or else with this frame.

    Args:
        clip: the clip.
        start: of the clip, in seconds.
        seconds: duration of a frame.
    """
    frames, lasts = len(clip.frames) * seconds, clip.end_seconds - clip.start_seconds  # NaN if unknown
    return start + (lasts if frames - seconds < lasts < frames - _SAME else frames)


class Joiner:
    """Joins segments of a class that end and begin where one clip of a recording ends and the next begins.

    Segments come out in the order in which they went in, a clip late.
    """

    def __init__(self) -> None:
        self._recording: bytes | None = None
        self._end = math.nan
        self._pending: list[Segment] = []

    def add(
        self, recording: bytes, start: float, end: float, segments: Sequence[Segment]
    ) -> list[tuple[bytes, Segment]]:
        """Add the segments of a clip, and return those of earlier clips that are complete.

        Args:
            recording: name of the recording.
            start: of the clip, in seconds.
            end: of the clip.
            segments: at most one of each class may touch each end of the clip.
        """
        follows = recording == self._recording and math.isclose(start, self._end, abs_tol=_SAME)
        open_ones = {
            one.index: one for one in self._pending if follows and math.isclose(one.end_seconds, start, abs_tol=_SAME)
        }
        joined = []
        for one in segments:
            before = open_ones.pop(one.index, None) if math.isclose(one.start_seconds, start, abs_tol=_SAME) else None
            joined.append(one if before is None else _joined(before, one))
            if before is not None:
                self._pending.remove(before)
        done = self.end()
        self._recording, self._end, self._pending = recording, end, joined
        return done

    def end(self) -> list[tuple[bytes, Segment]]:
        """Return what is left, with the name of its recording."""
        done = [(self._recording or b"", one) for one in self._pending]
        self._pending = []
        return done


def _joined(a: Segment, b: Segment) -> Segment:
    of_a, of_b = a.end_seconds - a.start_seconds, b.end_seconds - b.start_seconds
    return replace(
        b,
        probability=max(a.probability, b.probability),
        start_seconds=a.start_seconds,
        frame=(a.frame * of_a + b.frame * of_b) / (of_a + of_b),
        measure=None if a.measure is None or b.measure is None else a.measure + b.measure,
    )


def segments_of(
    clip: NDArray[np.floating],
    frame: NDArray[np.floating],
    measure: NDArray[np.floating] | None,
    classes: Sequence[int],
    rule: Rule,
    start: float,
    end: float,
    seconds: float,
) -> list[Segment]:
    """Return the segments of some classes in a clip, class by class.

    Args:
        clip: F [K].
        frame: f [T, K].
        measure: p [T, K]; None for a model without one.
        classes: in the order in which to return them.
        rule: when a frame shows a class.
        start: of the clip, in seconds.
        end: of the clip.
        seconds: duration of a frame.
    """
    return [
        Segment(
            int(k),
            float(clip[k]),
            start + a * seconds,
            min(start + b * seconds, end),
            float(frame[a:b, k].mean()),
            None if measure is None else float(measure[a:b, k].sum()),
        )
        for k in classes
        for a, b in runs(float(clip[k]), frame[:, k], rule)
    ]
