"""The length of an MP3, counted frame by frame; libsndfile only estimates it where no header states it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KILOBITS_1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_FIRST: Final = 4096


@dataclass(frozen=True, slots=True)
class Length:
    """The length of an MP3.

    Attributes:
        seconds: duration of its frames.
        told: whether a header states the length, so that libsndfile knows it.
    """

    seconds: float
    told: bool


def mp3_length(path: Path) -> Length:
    """Return the length of an MP3 (layer III), from frame to frame.

    Source: ISO 11172-3 and 13818-3.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = _after_tag(data)
        head = data[at : at + _FIRST]
        seconds, end = 0.0, len(data) - 4
        while at < end:
            size, lasts = _frame(data[at : at + 4])
            if not size:
                following = data.find(b"\xff", at + 1)
                at = following if following > 0 else end
                continue
            seconds += lasts
            at += size
    return Length(seconds, any(mark in head for mark in (b"Xing", b"Info", b"VBRI")))


def _after_tag(data: mmap.mmap) -> int:
    """Return where the sound begins, after a tag with a title or a picture."""
    if data[:3] != b"ID3":
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return size + 10


def _frame(header: bytes) -> tuple[int, float]:
    """Return the bytes and the seconds of a frame; 0 if these four bytes begin none."""
    if header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # sync and layer III
        return 0, 0.0
    version, kilobits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _RATES or kilobits in (0, 15) or rate == 3:
        return 0, 0.0
    first = version == 3
    hertz = _RATES[version][rate]
    bits = (_KILOBITS_1 if first else _KILOBITS_2)[kilobits] * 1000
    return (144 if first else 72) * bits // hertz + (header[2] >> 1 & 1), (1152 if first else 576) / hertz
