"""Predictions as text: CSV, JSON lines and Audacity label tracks.

A CSV row is a class of a clip: `video_id, class, probability`. With frames, a row is one frame of such a class; with
segments, it is a stretch of frames. Both add the columns `start_seconds, end_seconds, frame, measure`, where `frame` is
the mean of f and `measure` the sum of p over these frames. A JSON line is a clip, with the same values nested. A model
without a measure leaves `measure` out.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from audiobag.prediction.segments import Rule, runs
from audiobag.prediction.stream import Predicted
from audiobag.prepare.records import Clip
from audiobag.utils.files import atomic, short_name, whole_folder

Add = Callable[[Predicted], None]


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
    """

    names: tuple[str, ...]
    top_k: int | None
    frames: bool
    rule: Rule | None
    frame_seconds: float
    times: str
    labels: bool

    def start(self, clip: Clip) -> float:
        """Return the start of the clip in seconds; 0 if it is unknown."""
        known = self.times == "video" and math.isfinite(clip.start_seconds)
        return float(clip.start_seconds) if known else 0.0


class Stretch(NamedTuple):
    """Consecutive frames of a clip: their time, the mean of f and the sum of p, None for a model without a measure."""

    start_seconds: float
    end_seconds: float
    frame: float
    measure: float | None

    def values(self) -> dict[str, float]:
        """Return what is written, by name."""
        return {name: _short(value) for name, value in self._asdict().items() if value is not None}


@contextmanager
def csv_file(path: Path, content: Content) -> Iterator[Add]:
    """Yield a function that writes a batch; the file appears when the context exits."""
    stretches = content.frames or content.rule is not None
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")

        def add(batch: Predicted) -> None:
            if not file.tell():  # the first batch says whether the model has a measure
                fields = [name for name in Stretch._fields if name != "measure" or batch.measure is not None]
                rows.writerow(["video_id", "class", "probability", *(fields if stretches else ())])
            for i, k in _classes(batch, content):
                row = [text(batch.clips[i].video_id), content.names[k], _short(batch.probability[i, k])]
                if stretches:
                    rows.writerows([*row, *s.values().values()] for s in _stretches(batch, i, k, content))
                else:
                    rows.writerow(row)

        yield add


@contextmanager
def json_lines(path: Path, content: Content) -> Iterator[Add]:
    """Yield a function that writes a batch; the file appears when the context exits."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:

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
                    entry["segments"] = [s.values() for s in _stretches(batch, i, k, content)]
                lines[i]["classes"].append(entry)
            file.writelines(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)

        yield add


@contextmanager
def label_tracks(folder: Path, content: Content) -> Iterator[Add]:
    """Yield a function that writes a batch; the folder, with one file per video, appears when the context exits."""
    taken: dict[str, bytes] = {}
    with whole_folder(folder) as temporary:

        def add(batch: Predicted) -> None:
            lines: list[list[tuple[float, float, str]]] = [[] for _ in batch.clips]
            for i, k in _classes(batch, content):
                name = " ".join(content.names[k].split())  # a tab or line break would end the label
                lines[i] += [(s.start_seconds, s.end_seconds, name) for s in _stretches(batch, i, k, content)]
            for clip, found in zip(batch.clips, lines, strict=True):
                # All clips of a video share a track.
                name = file_name(clip.video_id)
                if taken.setdefault(name.casefold(), clip.video_id) != clip.video_id:
                    # Disks of macOS and Windows take names that differ in case alone for the same.
                    name = f"{name}-{sha256(clip.video_id).hexdigest()[:8]}"
                with (temporary / f"{name}.txt").open("a", encoding="utf-8") as file:
                    file.writelines(f"{a:.6f}\t{b:.6f}\t{name}\n" for a, b, name in sorted(found))

        yield add


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


def _stretches(batch: Predicted, i: int, k: int, content: Content) -> list[Stretch]:
    """Return the segments of a class if there is a rule, otherwise each of its frames."""
    f, p = batch.frames(i)
    begin, seconds = content.start(batch.clips[i]), content.frame_seconds
    spans = (
        runs(float(batch.probability[i, k]), f[:, k], content.rule)
        if content.rule
        else [(t, t + 1) for t in range(len(f))]
    )
    return [
        Stretch(
            begin + a * seconds,
            begin + b * seconds,
            float(f[a:b, k].mean()),
            None if p is None else float(p[a:b, k].sum()),
        )
        for a, b in spans
    ]


def _head(clip: Clip, content: Content) -> dict[str, Any]:
    head: dict[str, Any] = {"video_id": text(clip.video_id), "start_seconds": content.start(clip)}
    if content.frames:
        head["frame_seconds"] = content.frame_seconds
    if content.labels and clip.label_ids:
        head["labels"] = [content.names[k] for k in clip.label_ids]
    return {**head, "classes": []}


def _short(value: float | np.floating[Any]) -> float:
    """Return a number rounded to six significant digits."""
    return float(f"{value:.6g}")
