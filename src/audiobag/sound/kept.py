"""Vectors of recordings on disk, from their encoding until the stores are written: an interrupted run continues.

Recordings are encoded in groups. The vectors of a group are one file of raw numbers, end to end. A JSON file, which is
written last, has the number of frames and channels of each recording, and how it ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiobag.sound.reading import SoundFile
from audiobag.sound.windows import End
from audiobag.utils.files import atomic, read_json, remove_leftovers, write_json

FOLDER: Final = ".embedded"
"""The folder, in that of the stores."""

_MOST_BYTES: Final = 2**25


class Of(NamedTuple):
    """Which recording a vector belongs to, and whether a sample other than 0 has been read of it."""

    recording: SoundFile
    sounds: bool


Item = tuple[Of, NDArray[Any] | End]


def groups(recordings: Sequence[SoundFile], most: int) -> Iterator[list[SoundFile]]:
    """Yield recordings in groups of at most `most` recordings and 32 MB; a larger one is a group of its own."""
    group: list[SoundFile] = []
    size = 0
    for recording in recordings:
        if group and (len(group) == most or size + recording.size > _MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(recording)
        size += recording.size
    if group:
        yield group


class Kept:
    """The vectors of groups of recordings, in a folder.

    They are found again if the recordings have the same paths, sizes and times of change, and were encoded in the same
    way.

    Args:
        folder: for the files; it need not exist.
        way: encoder and options on which the vectors depend, in plain containers.
        dim: D, the numbers of a vector.
        dtype: of the vectors.
    """

    def __init__(self, folder: Path, way: Any, dim: int, dtype: np.dtype[Any]) -> None:
        self._folder, self._way, self._dim, self._dtype = folder, way, dim, dtype
        self._mine: list[Path] = []
        remove_leftovers(folder)

    def read(self, group: Sequence[SoundFile]) -> Iterator[Item] | None:
        """Return the vectors of a group and the ends of its recordings; None if they are not there."""
        path = self._path(group)
        described = read_json(path.with_suffix(".json")).get("recordings")
        if described is None or not path.is_file():
            return None
        self._mine.append(path)
        return self._items(path, group, described)

    def _items(self, path: Path, group: Sequence[SoundFile], described: Sequence[Any]) -> Iterator[Item]:
        with path.open("rb") as file:
            for recording, (frames, channels, seconds, silent, finding) in zip(group, described, strict=True):
                of = Of(recording, not silent)
                for _ in range(frames):
                    yield of, np.fromfile(file, self._dtype, channels * self._dim).reshape(channels, self._dim)
                yield of, End(seconds, silent, finding)

    def write(self, group: Sequence[SoundFile], items: Iterable[Item]) -> Iterator[Item]:
        """Pass on the vectors of a group and the ends of its recordings; they are kept once all have been taken."""
        path = self._path(group)
        described: list[Any] = []
        frames, channels = 0, 1
        with atomic(path) as temporary, temporary.open("wb") as file:
            for of, value in items:
                if isinstance(value, End):
                    described.append([frames, channels, value.seconds, value.silent, value.finding])
                    frames, channels = 0, 1
                else:
                    file.write(np.ascontiguousarray(value).data)
                    frames, channels = frames + 1, len(value)
                yield of, value
        write_json(path.with_suffix(".json"), {"recordings": described})
        self._mine.append(path)

    def remove(self) -> None:
        """Remove what has been read and written."""
        for path in self._mine:
            for one in (path.with_suffix(".json"), path):
                one.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # files of other options stay
            self._folder.rmdir()

    def _path(self, group: Sequence[SoundFile]) -> Path:
        files = [[str(one.path.resolve()), one.size, one.modified] for one in group]
        what = json.dumps([self._way, files], sort_keys=True, default=str)
        return self._folder / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.vectors"
