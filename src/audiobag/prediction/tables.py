"""Predictions as text: CSV, JSON lines and Audacity label tracks.

A CSV row is a class of a clip: `video_id, class, probability`. With frames, a row is one frame of such a class; with
segments, it is a stretch of frames. Both add the columns `start_seconds, end_seconds, frame, measure`, where `frame` is
the mean of f and `measure` the sum of p over these frames. Segments that meet where one clip of a recording ends and
the next begins are one. A JSON line is a clip, with the same values nested, and with `url`, where it can be heard, if
that is known. A model without a measure leaves `measure` out.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from audiobag.pictures.listening import Listening
from audiobag.prediction.stream import Predicted
from audiobag.prepare.records import Clip
from audiobag.sound.segments import Joiner, Rule, Segment, end_of, segments_of
from audiobag.utils.files import atomic, short_name, whole_folder

Add = Callable[[Predicted], None]
STANDARD_OUTPUT: Final = Path("-")
_OF_SEGMENT: Final = ("start_seconds", "end_seconds", "frame", "measure")


@dataclass(frozen=True, slots=True)
class Content:
    """What is written about each clip.

    Attributes:
        names: names of the K classes.
        top_k: number of classes per clip, most likely first; None for all.
        frames: write f and p of each frame.
        rule: rule for segments; None for no segments.
        frame_seconds: duration of a frame.
        times: "video" counts seconds from the start of the clip's recording, "clip" from the start of the clip.
        labels: the labels of the source refer to these classes.
        recordings: several clips may be of one recording, so rows say when each begins and ends.
        heard: where the clips can be heard.
    """

    names: tuple[str, ...]
    top_k: int | None
    frames: bool
    rule: Rule | None
    frame_seconds: float
    times: str
    labels: bool
    recordings: bool = False
    heard: Listening = field(default_factory=Listening)

    def span(self, clip: Clip) -> tuple[float, float]:
        """Return the start and the end of the clip in seconds."""
        start = self.start(clip)
        return start, end_of(clip, start, self.frame_seconds)

    def start(self, clip: Clip) -> float:
        """Return the start of the clip in seconds; 0 if it is unknown."""
        known = self.times == "video" and math.isfinite(clip.start_seconds)
        return float(clip.start_seconds) if known else 0.0


@contextmanager
def csv_file(path: Path, content: Content) -> Iterator[Add]:
    """Yield a function that writes a batch; the file appears when the context exits."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        joiner = Joiner()

        def write(video_id: bytes, k: int, probability: float, further: Iterable[float] = ()) -> None:
            rows.writerow([text(video_id), content.names[k], _short(probability), *further])

        def write_segments(found: Iterable[tuple[bytes, Segment]]) -> None:
            for video_id, one in found:
                write(video_id, one.index, one.probability, _values(one).values())

        def add(batch: Predicted) -> None:
            if not file.tell():  # the first batch says whether the model has a measure
                fields = [name for name in _OF_SEGMENT if name != "measure" or batch.measure is not None]
                if not (content.frames or content.rule):
                    fields = fields[:2] if content.recordings else []
                rows.writerow(["video_id", "class", "probability", *fields])
            if content.rule:
                _joined(batch, content, joiner, write_segments)
                return
            for i, k in _classes(batch, content):
                clip = batch.clips[i]
                if content.frames:
                    write_segments((clip.video_id, one) for one in _frames(batch, i, k, content))
                else:
                    span = content.span(clip) if content.recordings else ()
                    write(clip.video_id, k, float(batch.probability[i, k]), span)

        yield add
        write_segments(joiner.end())


@contextmanager
def json_lines(path: Path, content: Content) -> Iterator[Add]:
    """Yield a function that writes a batch; the file appears when the context exits.

    Args:
        path: the file; `STANDARD_OUTPUT` to write each batch to the standard output at once.
        content: what to write about each clip.
    """
    to_output = path == STANDARD_OUTPUT
    with nullcontext(sys.stdout) if to_output else _opened(path) as file:

        def add(batch: Predicted) -> None:
            lines = [_head(clip, content) for clip in batch.clips]
            for i, k in _classes(batch, content):
                entry: dict[str, Any] = {"class": content.names[k], "probability": _short(batch.probability[i, k])}
                if content.frames:
                    f, p = batch.frames(i)
                    entry["frame"] = [_short(x) for x in f[:, k]]
                    if p is not None:
                        entry["measure"] = [_short(x) for x in p[:, k]]
                if content.rule:
                    entry["segments"] = [_values(s) for s in _segments(batch, i, [k], content)]
                lines[i]["classes"].append(entry)
            # The encoding of the standard output is the user's.
            file.writelines(json.dumps(line, ensure_ascii=to_output, allow_nan=False) + "\n" for line in lines)
            file.flush()

        yield add


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def label_tracks(folder: Path, content: Content) -> Iterator[Add]:
    """Yield a function that writes a batch; the folder appears when the context exits.

    It has a file for each video in which a class is heard.
    """
    taken: dict[str, bytes] = {}
    with whole_folder(folder) as temporary:
        joiner = Joiner()

        def write(found: Sequence[tuple[bytes, Segment]]) -> None:
            # Clips of a video share a track, whose labels are sorted within each clip.
            for video_id, several in groupby(found, key=itemgetter(0)):
                labels = sorted(
                    # A tab or line break would end the name.
                    (one.start_seconds, one.end_seconds, " ".join(content.names[one.index].split()))
                    for _, one in several
                )
                stem = file_name(video_id)
                if taken.setdefault(stem.casefold(), video_id) != video_id:
                    # Disks of macOS and Windows take names that differ in case alone for the same.
                    stem = f"{stem}-{sha256(video_id).hexdigest()[:8]}"
                with (temporary / f"{stem}.txt").open("a", encoding="utf-8") as file:
                    file.writelines(f"{a:.6f}\t{b:.6f}\t{name}\n" for a, b, name in labels)

        def add(batch: Predicted) -> None:
            _joined(batch, content, joiner, write)

        yield add
        write(joiner.end())


def file_name(video_id: bytes) -> str:
    """Return a video id as a safe file name, different for different ids."""
    name = quote(video_id, safe="")
    return short_name(name, name, 200)


def text(video_id: bytes) -> str:
    r"""Return a video id as text; bytes that are not UTF-8 become escapes such as `\xff`, which keeps ids apart."""
    return video_id.decode("utf-8", errors="backslashreplace")


def likeliest(probability: NDArray[np.floating], count: int | None) -> NDArray[np.int64]:
    """Return the most likely classes of each clip, [B, count], in descending order; ties keep the order of classes."""
    order: NDArray[np.int64] = np.argsort(-probability, axis=1, kind="stable")[:, :count]
    return order


def _classes(batch: Predicted, content: Content) -> Iterator[tuple[int, int]]:
    """Yield (clip in the batch, class) for all classes that are written."""
    for i, classes in enumerate(likeliest(batch.probability, content.top_k)):
        for k in classes:
            yield i, int(k)


def _joined(
    batch: Predicted, content: Content, joiner: Joiner, write: Callable[[list[tuple[bytes, Segment]]], None]
) -> None:
    """Write the segments of a batch, except those that the next clip may continue."""
    for i, classes in enumerate(likeliest(batch.probability, content.top_k)):
        clip = batch.clips[i]
        write(joiner.add(clip.video_id, *content.span(clip), _segments(batch, i, classes.tolist(), content)))


def _segments(batch: Predicted, i: int, classes: Sequence[int], content: Content) -> list[Segment]:
    """Return the segments of some classes in a clip of a batch."""
    f, p = batch.frames(i)
    assert content.rule is not None
    span = content.span(batch.clips[i])
    return segments_of(batch.probability[i], f, p, classes, content.rule, *span, content.frame_seconds)


def _values(one: Segment) -> dict[str, float]:
    """Return what is written of a segment, by name; a model without a measure has none."""
    found = {name: getattr(one, name) for name in _OF_SEGMENT}
    return {name: _short(value) for name, value in found.items() if value is not None}


def _frames(batch: Predicted, i: int, k: int, content: Content) -> list[Segment]:
    """Return each frame of a class in a clip of a batch, as a segment of its own."""
    f, p = batch.frames(i)
    (begin, end), seconds = content.span(batch.clips[i]), content.frame_seconds
    return [
        Segment(
            k,
            float(batch.probability[i, k]),
            begin + t * seconds,
            min(begin + (t + 1) * seconds, end),
            float(f[t, k]),
            None if p is None else float(p[t, k]),
        )
        for t in range(len(f))
    ]


def _head(clip: Clip, content: Content) -> dict[str, Any]:
    head: dict[str, Any] = {"video_id": text(clip.video_id), "start_seconds": content.start(clip)}
    if url := content.heard.address(clip.video_id, clip.start_seconds, clip.end_seconds):
        head["url"] = url
    if content.frames:
        head["frame_seconds"] = content.frame_seconds
    if content.labels and clip.label_ids:
        head["labels"] = [content.names[k] for k in clip.label_ids]
    return {**head, "classes": []}


def _short(value: float | np.floating[Any]) -> float:
    """Return a number rounded to six significant digits."""
    return float(f"{value:.6g}")
