"""Files of events: which class is heard in which clip, from when to when.

| columns of the first line | separator | clip | label |
| --- | --- | --- | --- |
| segment_id, start_time_seconds, end_time_seconds, label | tab | `<video id>_<start of the clip in ms>` | machine id |
| the same and present | tab | the same | the same |
| filename, onset, offset, event_label | tab | `<video id>.wav`, or `Y<video id>_<start in s>_<end in s>.wav` | name |
| video_id, start_seconds, end_seconds, label | comma | `<video id>` | name or machine id |

The first two are AudioSet-Strong's `audioset_eval_strong.tsv` and `audioset_eval_strong_framed_posneg.tsv`; present is
PRESENT or NOT_PRESENT. The third is DESED's; a row with empty cells after the name is a clip without events. The last
is for your own events. Further columns are ignored. Times are in seconds from the start of the clip.

Source: Hershey, Ellis, Fonseca, Jansen, Liu, Moore and Plakal, "The benefit of temporally-strong labels in audio event
classification" (2021); Turpault, Serizel, Shah and Salamon, "Sound event detection in domestic environments with weakly
labeled data and soundscape synthesis" (2019).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable

Place = tuple[str, float]
"""A video id, and the start of the clip in the video in seconds; NaN if unknown."""

_DESED: Final = re.compile(r"(?P<id>.+)_(?P<start>\d+(\.\d+)?)_\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Events:
    """E events in C clips.

    Attributes:
        path: the file.
        places: for each of the C clips, the places that its name may mean, likeliest first.
        clip: clip [E] of each event.
        start: [E], in seconds from the start of the clip.
        end: [E].
        label: E labels.
        present: [E], false where the class is known to be absent.
        explicit: whether the file tells where classes are absent, so that nothing is known of other times.
    """

    path: Path
    places: tuple[tuple[Place, ...], ...]
    clip: Int64[NDArray[Any], " E"]
    start: Float64[NDArray[Any], " E"]
    end: Float64[NDArray[Any], " E"]
    label: tuple[str, ...]
    present: Bool[NDArray[Any], " E"]
    explicit: bool


@dataclass(frozen=True, slots=True)
class _Format:
    """Columns of clip, start, end and label; the separator; the places that the name of a clip may mean."""

    columns: tuple[str, str, str, str]
    separator: str
    places: Callable[[str], tuple[Place, ...]]


def _audioset(name: str) -> tuple[Place, ...]:
    video_id, _, milliseconds = name.rpartition("_")
    if not video_id or not milliseconds.isdecimal():
        raise ValueError(f"segment_id is {name!r}, expected a video id, _ and the start in milliseconds")
    return ((video_id, int(milliseconds) / 1000),)


def _desed(name: str) -> tuple[Place, ...]:
    stem = PurePosixPath(name).stem
    cut = _DESED.fullmatch(stem)
    ids = [] if cut is None else [*([cut["id"][1:]] if cut["id"].startswith("Y") else []), cut["id"]]
    return ((stem, math.nan), *((video_id, float(cut["start"])) for video_id in ids if cut))


_FORMATS: Final = (
    _Format(("segment_id", "start_time_seconds", "end_time_seconds", "label"), "\t", _audioset),
    _Format(("filename", "onset", "offset", "event_label"), "\t", _desed),
    _Format(("video_id", "start_seconds", "end_seconds", "label"), ",", lambda name: ((name, math.nan),)),
)
_PRESENT: Final = {"PRESENT": True, "NOT_PRESENT": False}


def read_events(path: Path) -> Events:
    """Read a file of events, see the module's table.

    Raises:
        ValueError: the file cannot be read, has other columns, or has a row that is not an event.
    """
    check_readable(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"strong must be a file of events, got {path} ({reason})") from error
    head = text.partition("\n")[0]
    form = next((f for f in _FORMATS if set(f.columns) <= set(head.strip().split(f.separator))), None)
    if form is None:
        known = "; ".join(", ".join(f.columns) for f in _FORMATS)
        raise InputError(f"strong must be a file whose first line names its columns ({known}), got {path}: {head[:80]}")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=form.separator, strict=True)
    clips: dict[str, int] = {}
    places: list[tuple[Place, ...]] = []
    found: list[tuple[int, float, float, str, bool]] = []
    explicit = "present" in (rows.fieldnames or ())
    try:
        for row in rows:
            if any(row[column] is None for column in form.columns):
                raise ValueError("it has fewer cells than the first line")
            name = row[form.columns[0]]
            if name not in clips:
                places.append(form.places(name))
                clips[name] = len(clips)
            if event := _event(row, form, explicit):
                found.append((clips[name], *event))
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise InputError(f"strong has a row that is not an event, {path}, line {rows.line_num}: {error}") from error
    clip, start, end, label, present = zip(*found, strict=True) if found else ((),) * 5
    return Events(
        path,
        tuple(places),
        np.array(clip, np.int64),
        np.array(start, np.float64),
        np.array(end, np.float64),
        label,
        np.array(present, np.bool_),
        explicit,
    )


def _event(row: Mapping[str, str], form: _Format, explicit: bool) -> tuple[float, float, str, bool] | None:
    """Return start, end, label and whether it is present; None for a clip without events.

    Raises:
        ValueError: the row is not an event.
    """
    _, *columns = form.columns
    start, end, label = (row[column].strip() for column in columns)
    if not (start or end or label):
        return None
    times = float(start), float(end)
    if not 0 <= times[0] <= times[1] < math.inf or not label:
        raise ValueError(f"{label or 'an event without a label'} from {start} to {end} s")
    if explicit and row["present"] not in _PRESENT:
        raise ValueError(f"present is {row['present']!r}, expected PRESENT or NOT_PRESENT")
    return *times, label, not explicit or _PRESENT[row["present"]]
