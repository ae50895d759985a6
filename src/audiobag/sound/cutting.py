"""From the frames of a recording to labelled clips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.labels import Event
from audiobag.prepare.records import Clip
from audiobag.prepare.rows import MAX_ID
from audiobag.utils.errors import InputError
from audiobag.utils.files import short_name
from audiobag.utils.values import check_number

_SHARE: Final = 0.1  # of a frame, as `audiobag.data.strong` takes it, which needs torchmetrics


class Heard(NamedTuple):
    """An event in a clip, in seconds from the start of the clip."""

    video_id: str
    start_seconds: float
    end_seconds: float
    label: str


@dataclass(frozen=True, slots=True)
class Cut:
    """How recordings are cut into clips.

    Attributes:
        frames: frames of a clip; None for the whole recording.
        hop: frames from the start of a clip to the start of the next.
        frame_seconds: duration of a frame.
        unique: give each clip an id of its own, as a store needs; otherwise all clips of a recording have its name.
    """

    frames: int | None
    hop: int
    frame_seconds: float
    unique: bool = True

    @classmethod
    def of(
        cls, clip_seconds: float | None, clip_hop_seconds: float | None, frame_seconds: float, unique: bool = True
    ) -> Cut:
        """Return the cut of these durations, rounded to whole frames.

        Raises:
            ValueError: a duration is less than a frame, or a hop is given without a duration.
        """
        for name, value in (("clip_seconds", clip_seconds), ("clip_hop_seconds", clip_hop_seconds)):
            if value is not None:
                check_number(name, value, "(0, inf)", ", or null")
                if value < frame_seconds - 1e-9:
                    raise InputError(f"{name} must be at least a frame, {frame_seconds:g} s, got {value:g}")
        if clip_seconds is None:
            if clip_hop_seconds is not None:
                raise InputError("clip_hop_seconds needs clip_seconds, which is null: give both")
            return cls(None, 1, frame_seconds, unique)
        frames = math.floor(clip_seconds / frame_seconds + 1e-9)
        hop = frames if clip_hop_seconds is None else max(1, round(clip_hop_seconds / frame_seconds))
        return cls(frames, hop, frame_seconds, unique)


class Cutter:
    """Cuts the frames of one channel of a recording, as they come.

    Args:
        name: of the recording.
        events: its labels.
        indices: the class of each label.
        cut: how to cut.
    """

    def __init__(self, name: str, events: Sequence[Event], indices: dict[str, int], cut: Cut) -> None:
        self._name, self._events, self._indices, self._cut = name, events, indices, cut
        self._held: list[NDArray[Any]] = []
        self._first = 0  # frame of the recording that the next clip begins with
        self._skip = 0  # frames that lie between two clips
        self._end = 0  # frame after the last of a clip that has been cut

    def add(self, frame: NDArray[Any]) -> Iterator[tuple[Clip, list[Heard]]]:
        """Add the next frame [D], and yield the clip that ends before it, with its events."""
        if len(self._held) == self._cut.frames:
            yield self._clip()
            self._first += self._cut.hop
            self._skip = max(0, self._cut.hop - len(self._held))
            self._held = self._held[self._cut.hop :]
        if self._skip:
            self._skip -= 1
        else:
            self._held.append(frame)

    def end(self, seconds: float, whole: bool = True) -> Iterator[tuple[Clip, list[Heard]]]:
        """Yield the last clip, which may be shorter, if it has frames that no other clip has.

        Args:
            seconds: duration of the recording.
            whole: False for a damaged recording, whose last clip must not be shorter.
        """
        if self._held and self._first + len(self._held) > self._end and (whole or len(self._held) == self._cut.frames):
            yield self._clip(seconds)

    def _clip(self, until: float = math.inf) -> tuple[Clip, list[Heard]]:
        """Return the clip of the frames that are held.

        Args:
            until: duration of the recording, whose end may be in the last frame or after it.
        """
        seconds = self._cut.frame_seconds
        self._end = self._first + len(self._held)
        start, end = self._first * seconds, min(self._end * seconds, until)
        whole = self._cut.frames is None or not self._cut.unique
        video_id = _identifier(self._name if whole else f"{self._name}@{start:.10g}s")
        # The clip of a whole recording also has the events after its last frame.
        heard = [e for e in self._events if _within(e, start, until if self._cut.frames is None else end, seconds)]
        ids = sorted({self._indices[e.label] for e in heard})
        timed = [
            Heard(video_id.decode(errors="replace"), max(e.start, start) - start, min(e.end, end) - start, e.label)
            for e in heard
            if math.isfinite(e.start) and min(e.end, end) > max(e.start, start)
        ]
        return Clip(video_id, np.stack(self._held), ids, start, end), timed


def _within(event: Event, start: float, end: float, frame_seconds: float) -> bool:
    """Return whether an event belongs to a clip: a tenth of a frame or half of the event is in it."""
    if math.isnan(event.start):
        return True
    shared = min(event.end, end) - max(event.start, start)
    return shared > 0 and shared >= min(_SHARE * frame_seconds, (event.end - event.start) / 2) - 1e-9


def _identifier(name: str) -> bytes:
    """Return a name as a video id; a longer one than a store takes is shortened to one that differs from others."""
    whole = name.encode(errors="surrogateescape")
    if len(whole) <= MAX_ID:
        return whole
    return short_name(name, PurePosixPath(name).name, 60).encode(errors="surrogateescape")
