"""Reading sound files block by block, in bounded memory, with a message for each kind of bad file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from audiobag.prepare.source import BadRecord
from audiobag.sound.mp3 import mp3_length
from audiobag.utils.errors import InputError

SUFFIXES: Final = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd"),
    *(".caf", ".w64", ".rf64", ".voc", ".wve", ".sph", ".nist"),
)
FOREIGN: Final = (".m4a", ".mp4", ".aac", ".wma", ".webm", ".mkv", ".mov", ".avi", ".amr", ".3gp", ".mka", ".ac3")
"""Suffixes of sound that libsndfile does not read."""

_BLOCK: Final = 2**16
_CLAIM: Final = re.compile(r"(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)")
_UNKNOWN: Final = 0x7FFFF000  # programs that write to a pipe claim the maximum, since they cannot go back
_TAIL: Final = 2**16
_MOST_CHANNELS: Final = 64
_CLIPPED: Final = 1e4  # floats of a sound are near 1


@dataclass
class Sound:
    """An opened recording.

    Attributes:
        sample_rate: samples per second.
        channels: C.
        blocks: the samples [n, C], from -1 to 1, block by block. Raises `BadRecord` where they cannot be read.
        seconds: duration that the header claims; None if it claims none.
    """

    sample_rate: int
    channels: int
    blocks: Iterator[Float32[NDArray[Any], "n C"]]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A sound file of any format that libsndfile reads.

    Attributes:
        path: the file.
        name: the name in clips and messages.
    """

    path: Path
    name: str

    @property
    def size(self) -> int:
        """Bytes of the file; 0 if it is missing."""
        return self._status("st_size")

    @property
    def modified(self) -> int:
        """When the file was last changed, in nanoseconds; 0 if it is missing."""
        return self._status("st_mtime_ns")

    def _status(self, name: str) -> int:
        try:
            return int(getattr(self.path.stat(), name))
        except OSError:
            return 0

    @contextlib.contextmanager
    def open(self) -> Iterator[Sound]:
        """Open the file.

        Raises:
            BadRecord: it is missing, empty, no sound, or of a format that libsndfile does not read.
        """
        soundfile = library()
        self._check()
        try:
            file = soundfile.SoundFile(os.fsencode(self.path))  # soundfile encodes texts as UTF-8 only
        except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
            raise BadRecord(self._unreadable(error)) from error
        with file:
            if file.channels > _MOST_CHANNELS:
                raise BadRecord(f"it has {file.channels} channels, expected at most {_MOST_CHANNELS}")
            if not 100 <= file.samplerate <= 10_000_000:
                raise BadRecord(f"its sample rate is {file.samplerate} Hz, expected 100 Hz to 10 MHz")
            known = 0 < file.frames < 2**62
            seconds = file.frames / file.samplerate if known else None
            yield Sound(file.samplerate, file.channels, self._blocks(file, soundfile), seconds)

    def _check(self) -> None:
        if not self.path.exists():
            raise BadRecord("there is no such file")
        if not self.path.is_file():
            raise BadRecord("it is not a file")
        if not self.size:
            raise BadRecord("the file is empty, it has 0 bytes")

    def _unreadable(self, error: Exception) -> str:
        if self.path.suffix.lower() in FOREIGN:
            return f"libsndfile does not read {self.path.suffix} files; {self._convert()}"
        reason = str(error).partition(": ")[2].rstrip(".") or type(error).__name__
        return f"it is not a sound that libsndfile reads ({_head(self.path)}{reason})"

    def _convert(self) -> str:
        return f"convert it: ffmpeg -i {self.path.name!r} {self.path.with_suffix('.wav').name!r}"

    def _blocks(self, file: Any, soundfile: Any) -> Iterator[Float32[NDArray[Any], "n C"]]:
        done = 0
        while True:
            try:
                block = file.read(_BLOCK, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise BadRecord(f"it is damaged after {done / file.samplerate:.2f} s ({_reason(error)})") from error
            if not len(block):
                break
            good = np.abs(block) < _CLIPPED  # also false for NaN
            if not good.all():
                first = int(np.argmin(good.all(1)))
                value = float(block[first][np.argmin(good[first])])
                raise BadRecord(
                    f"the sample at {(done + first) / file.samplerate:.3f} s is {value:g}, expected finite numbers"
                    " around -1 to 1"
                )
            yield block
            done += len(block)
        if file.format == "MP3" and not (length := mp3_length(self.path)).told:
            if done and length.seconds > 1.02 * done / file.samplerate + 0.5:
                raise BadRecord(
                    f"libsndfile reads {done / file.samplerate:.2f} s of its {length.seconds:.2f} s, since it is an MP3"
                    f" of variable bit rate without a header that states its length; {self._convert()}"
                )
        elif (seconds := self._missing(file, done)) is not None:
            there = f"the file ends after {done / file.samplerate:.2f} s"
            claim = f"its header claims {seconds:.2f} s, {there}" if seconds else f"{there} without a last page"
            raise BadRecord(f"it is truncated: {claim}")
        if not done:
            raise BadRecord("it has a header but no samples")

    def _missing(self, file: Any, done: int) -> float | None:
        """Return the seconds that a truncated file claims, 0 if it makes no claim; None if it is whole."""
        if match := _CLAIM.search(file.extra_info):
            claimed, there = int(match[1]), int(match[2])
            if 0 < there < claimed < _UNKNOWN:
                return float(done / file.samplerate * claimed / there)
        if done < file.frames < 2**62:
            return float(file.frames / file.samplerate)
        return 0.0 if file.format == "OGG" and not _ends_whole(self.path) else None


def library() -> Any:
    """Return the package soundfile.

    Raises:
        ValueError: it or soxr is not installed, or it has no libsndfile.
    """
    try:
        import soundfile
        import soxr  # noqa: F401
    except (ImportError, OSError) as error:
        raise InputError(f"source is sound, which needs pip install 'audiobag[audio]' ({error})") from error
    return soundfile


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text if text and "unknown error" not in text.lower() else "the decoder fails"


def _head(path: Path) -> str:
    """Return what a file that is no sound seems to be, for the message."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(64)
        if not head.strip(b"\0"):
            return "its first bytes are all 0; "
        if head.lstrip()[:1] in (b"<", b"{") or head.isascii():
            return f"it begins as text, {head[:24].decode(errors='replace')!r}; "
        if b"ftyp" in head:
            return "it is MPEG-4; convert it with ffmpeg; "
    return ""


def _ends_whole(path: Path) -> bool:
    """Return whether the last page of an Ogg file says that it is the last."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & 4)
