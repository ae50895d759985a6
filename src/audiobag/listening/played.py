"""A recording as a page needs it: a spectrogram of bounded size, and the sound as an MP3."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from audiobag.prepare.source import BadRecord
from audiobag.sound.frontend import LogMelSpectrogram
from audiobag.sound.logmel import LogMel
from audiobag.sound.reading import SoundFile, library
from audiobag.sound.windows import End, windows
from audiobag.utils.errors import InputError

_RATE: Final = 16_000
_MOST_COLUMNS: Final = 3000
_PER_SECOND: Final = 50


@dataclass(frozen=True, slots=True)
class Played:
    """A recording for people.

    Attributes:
        seconds: its duration.
        spectrogram: log-mel spectrum [bands, columns], lowest band first.
        mp3: the recording at 16 kHz in mono; empty if it is not wanted.
    """

    seconds: float
    spectrogram: Float32[NDArray[Any], "B X"]
    mp3: bytes


def play(file: SoundFile, *, sound: bool = True) -> Played:
    """Read a recording once more, second by second.

    Args:
        file: the recording.
        sound: whether to return it as an MP3 (about 11 MB an hour).

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        with file.open() as opened:
            expected = opened.seconds or 60.0
    except BadRecord as error:
        raise InputError(f"{file.path} cannot be read: {error}") from error
    per_second = max(1, min(_PER_SECOND, int(_MOST_COLUMNS / expected)))
    together = max(1, round(expected * per_second / _MOST_COLUMNS))
    spectrogram = LogMelSpectrogram(_RATE, 64, 50.0, 8000.0, 0.025, 0.01)
    columns: list[NDArray[np.float32]] = []
    mp3, seconds = io.BytesIO(), 0.0
    soundfile = library()
    with soundfile.SoundFile(mp3, "w", _RATE, 1, format="MP3", subtype="MPEG_LAYER_III") as out:
        for item in windows(file, LogMel(), pad=True, advance=lambda size: None):
            if isinstance(item, End):
                seconds = item.seconds
                break
            if sound:
                out.write(item[0])
            spectra = spectrogram(torch.from_numpy(item))[0].numpy()
            columns += [part.mean(0) for part in np.array_split(spectra, per_second)]
    if together > 1:
        starts = range(0, len(columns), together)
        columns = [np.asarray(np.mean(columns[start : start + together], axis=0)) for start in starts]
    # The last part of a second is not in a whole window, and is neither drawn nor played.
    return Played(
        min(seconds, len(columns) * together / per_second), np.array(columns).T, mp3.getvalue() if sound else b""
    )
