"""What a page shows and plays of a recording: a spectrogram of bounded size, and an MP3."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import islice
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
_TOGETHER: Final = 64


@dataclass(frozen=True, slots=True)
class Played:
    """What a page shows and plays of a recording.

    Attributes:
        seconds: its duration.
        spectrogram: log-mel spectrum [bands, columns], lowest band first.
        mp3: the recording at 16 kHz in mono (about 11 MB an hour).
    """

    seconds: float
    spectrogram: Float32[NDArray[Any], "B X"]
    mp3: bytes


def play(file: SoundFile) -> Played:
    """Read a recording once more, second by second.

    Args:
        file: the recording.

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
    mp3, seconds, written = io.BytesIO(), 0.0, 0
    last = np.zeros(0, np.float32)
    soundfile = library()
    with soundfile.SoundFile(mp3, "w", _RATE, 1, format="MP3", subtype="MPEG_LAYER_III") as out:
        stream = windows(file, LogMel(), least=0, advance=lambda size: None)
        while items := list(islice(stream, _TOGETHER)):  # many small tensors take longer than a few large ones
            waves = [item[0] for item in items if not isinstance(item, End)]
            seconds = next((item.seconds for item in items if isinstance(item, End)), seconds)
            if waves:
                out.write(last)
                written += len(last)
                last = np.concatenate(waves)
                for spectra in spectrogram(torch.from_numpy(np.stack(waves))).numpy():
                    columns += [part.mean(0) for part in np.array_split(spectra, per_second)]
        # Without the silence that fills the last second.
        out.write(last[: max(0, round(seconds * _RATE) - written)])
    del columns[max(1, round(seconds * per_second)) :]
    if together > 1:
        starts = range(0, len(columns), together)
        columns = [np.asarray(np.mean(columns[start : start + together], axis=0)) for start in starts]
    return Played(seconds, np.array(columns).T, mp3.getvalue())
