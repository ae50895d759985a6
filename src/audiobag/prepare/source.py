"""What every kind of source gives: parts, one for each of its files, and what is wrong with a record."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np

from audiobag.errors import UserError
from audiobag.files import write_text
from audiobag.labels import audioset_classes
from audiobag.prepare.records import Clip
from audiobag.store import Description

Advance = Callable[[int], None]
"""Takes the number of bytes read since the last call."""


AUDIOSET_DIM: Final = 128
"""Bytes of one of AudioSet's frames."""


def audioset_description(source: str) -> Description:
    """Return what AudioSet's features mean: one frame a second, (x - 128) / 128 as in the paper's code."""
    classes = audioset_classes()
    return Description(classes.names, classes.mids, frame_seconds=1.0, scale=1 / 128, offset=-1.0, source=source)


class BadRecord(Exception):
    """What is wrong with one record; it can be left out."""


class Rejection(NamedTuple):
    """A record (from 1; None for a whole file) that was left out."""

    split: str
    file: str
    record: int | None
    finding: str


class Rejects:
    """What is bad in a source: the first stops the run, or all are kept for `rejected.csv`.

    Args:
        on_error: "stop" or "skip".
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.found: list[Rejection] = []

    def add(self, split: str, file: str, record: int | None, finding: str) -> None:
        """Take note of a bad record.

        Raises:
            UserError: `on_error` is "stop".
        """
        if self.on_error == "stop":
            where = file if record is None else f"{file}, record {record}"
            raise UserError(f"{where}: {finding}; repair the source, or leave such records out with on_error=skip")
        self.found.append(Rejection(split, file, record, finding))

    def count(self, split: str) -> int:
        """Return how many were left out of `split`."""
        return sum(rejection.split == split for rejection in self.found)

    def write(self, path: Path) -> None:
        """Write the list as CSV, atomically; where there is none, remove an earlier run's."""
        if not self.found:
            return path.unlink(missing_ok=True)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Rejection._fields)
        writer.writerows(self.found)
        return write_text(path, text.getvalue())


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a source.

    Attributes:
        split: to which of the stores its clips belong.
        file: its name, for people.
        clips: (record number from 1, clip); `label_ids` ascend without repeats and lie within the classes,
            all frames are [n >= 1, dim] of `dtype`.
        dim: D.
        dtype: of the frames.
        description: classes, dequantisation and source, for the store.
    """

    split: str
    file: str
    clips: Iterable[tuple[int, Clip]]
    dim: int
    dtype: np.dtype[Any]
    description: Description


@runtime_checkable
class Piece(Protocol):
    """Some files of a source."""

    @property
    def portable(self) -> bool:
        """Whether another process can read it, who gets it pickled."""
        ...

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield the files one by one; each one's clips are to be consumed before the next is asked for."""
        ...


@runtime_checkable
class Source(Protocol):
    """Something that holds clips."""

    @property
    def fingerprint(self) -> str:
        """Changes when the source does; made from names, sizes and times, not from the content."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files whose names a store might have."""
        ...

    @property
    def size(self) -> int:
        """Bytes to read, for the progress bar."""
        ...

    def pieces(self, advance: Advance) -> Iterator[Piece]:
        """Yield all of it in pieces; one that is not portable is to be read before the next is asked for."""
        ...


def fingerprint_files(root: Path, names: Iterable[str]) -> tuple[str, list[int]]:
    """Return (a hash of the files' names under `root`, sizes and modification times; their sizes)."""
    digest, sizes = hashlib.sha256(str(root).encode()), []
    for name in names:
        status = os.stat(f"{root}/{name}")  # noqa: PTH116 (a Path for each of thousands of shards takes longer)
        digest.update(f"\n{name} {status.st_size} {status.st_mtime_ns}".encode())
        sizes.append(status.st_size)
    return digest.hexdigest(), sizes
