"""What a model hears in a recording, with its segments, picture and page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from audiobag.bags import BagPrediction
from audiobag.listening.played import Played, play
from audiobag.prepare.source import Rejects
from audiobag.sound.reading import SoundFile
from audiobag.sound.segments import Joiner, Rule, Segment, segments_of
from audiobag.sound.source import Recordings

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure

Predict = Callable[[list[NDArray[Any]]], BagPrediction]
_BATCH: Final = 64


@dataclass(frozen=True)
class Listened:
    """What a model hears in a recording of any length, cut into C clips of T frames in all.

    A notebook shows its picture.

    Attributes:
        file: the recording.
        class_names: K names.
        frame_seconds: duration of a frame.
        offsets: [C + 1], clip c has the frames offsets[c] to offsets[c + 1] - 1.
        start_seconds: start [C] of each clip in the recording.
        end_seconds: end [C] of each clip; that of the last may be within its last frame.
        clip: F [C, K], the probability of each class in each clip.
        frame: f [T, K], the probability of each class in each frame.
        measure: p [T, K], how much each frame counts for its clip; None if the model has no measure.
        encoder: name of the encoder.
    """

    file: SoundFile
    class_names: tuple[str, ...]
    frame_seconds: float
    offsets: NDArray[np.int64]
    start_seconds: NDArray[np.float64]
    end_seconds: NDArray[np.float64]
    clip: Float32[NDArray[Any], "C K"]
    frame: Float32[NDArray[Any], "T K"]
    measure: Float32[NDArray[Any], "T K"] | None
    encoder: str

    def top(self, count: int = 8) -> list[tuple[str, float]]:
        """Return the likeliest classes and the highest probability F that they have in a clip, likeliest first."""
        highest = self.clip.max(0)
        return [(self.class_names[k], float(highest[k])) for k in self._likeliest(count)]

    def segments(self, threshold: float = 0.5, median: int = 1) -> list[tuple[float, float, str, float]]:
        """Return (start, end, class, probability) of the stretches of time in which a class is heard, in seconds.

        Args:
            threshold: the value that the filtered f of a frame and F of its clip must reach.
            median: width of the filter in frames, an odd number; 1 for no filter.

        Raises:
            ValueError: an argument is out of range.
        """
        found = sorted(
            (s.start_seconds, s.end_seconds, s.index, s.probability) for s in self._segments(Rule(threshold, median))
        )
        return [(a, b, self.class_names[k], F) for a, b, k, F in found]

    def picture(self, count: int = 8) -> Figure:
        """Draw the spectrogram, and f and p of the likeliest classes over time.

        Args:
            count: number of classes.
        """
        from audiobag.pictures.recordings import draw_recording  # which needs matplotlib

        classes, f, p = self.shown(count)
        names = [(self.class_names[k], float(self.clip[:, k].max())) for k in classes]
        played = self.played
        return draw_recording(self.file.name, played.spectrogram, played.seconds, names, f, p, self.frame_seconds)

    @cached_property
    def played(self) -> Played:
        """The spectrogram and the sound; the file is read once more when they are first needed."""
        return play(self.file)

    def write_page(self, path: str | PathLike[str], count: int = 8, threshold: float = 0.5, median: int = 1) -> None:
        """Write one HTML file that plays the recording and shows what is heard while it plays, without a network.

        Args:
            path: the file.
            count: number of classes.
            threshold: of the segments that the page lists; see `segments`.
            median: see `segments`.

        Raises:
            ValueError: an argument is out of range.
        """
        from audiobag.listening.page import page  # which needs jinja2
        from audiobag.utils.files import write_text

        write_text(Path(path), page(self, self.played, count, threshold, median))

    def shown(self, count: int) -> tuple[list[int], NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the likeliest classes, their f [count, T] and their p."""
        classes = self._likeliest(count)
        p = None if self.measure is None else self.measure[:, classes].T
        return classes, self.frame[:, classes].T, p

    def _repr_png_(self) -> bytes:
        from audiobag.utils.plotting import png

        return png(self.picture())

    def _likeliest(self, count: int) -> list[int]:
        return [int(k) for k in np.argsort(-self.clip.max(0), kind="stable")[:count]]

    def _segments(self, rule: Rule) -> list[Segment]:
        joiner, done = Joiner(), []
        classes = range(len(self.class_names))
        for c, (start, end) in enumerate(zip(self.start_seconds.tolist(), self.end_seconds.tolist(), strict=True)):
            a, b = self.offsets[c : c + 2].tolist()
            p = None if self.measure is None else self.measure[a:b]
            found = segments_of(self.clip[c], self.frame[a:b], p, classes, rule, start, end, self.frame_seconds)
            done += joiner.add(b"", start, end, found)
        return [segment for _, segment in (*done, *joiner.end())]


def listen(recordings: Recordings, file: SoundFile, class_names: Sequence[str], predict: Predict) -> Listened:
    """Return what a model hears in a recording.

    Args:
        recordings: the recording alone.
        file: the same recording.
        class_names: K names.
        predict: from bags of frames to their prediction.

    Raises:
        ValueError: the recording is bad.
    """
    clips = [clip for part in recordings.parts(Rejects("stop"), lambda size: None) for _, clip in part.clips]
    F, frames, measures = [], [], []
    for first in range(0, len(clips), _BATCH):
        batch = clips[first : first + _BATCH]
        one = predict([clip.frames for clip in batch])
        F.append(one.clip.numpy())
        for i, clip in enumerate(batch):
            frames.append(one.frame[i, : len(clip.frames)].numpy())
            if one.measure is not None:
                measures.append(one.measure[i, : len(clip.frames)].numpy())
    return Listened(
        file,
        tuple(class_names),
        recordings.description.frame_seconds,
        np.cumsum([0, *(len(clip.frames) for clip in clips)]),
        np.array([clip.start_seconds for clip in clips]),
        np.array([clip.end_seconds for clip in clips]),
        np.concatenate(F),
        np.concatenate(frames),
        np.concatenate(measures) if measures else None,
        str((recordings.description.encoder or {}).get("name", "")),
    )
