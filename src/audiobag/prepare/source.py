"""The interface of all sources: a source yields parts, one per file, and reports bad records."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np

from audiobag.data.store import DatasetInfo
from audiobag.labels import audioset_classes
from audiobag.prepare.records import Clip
from audiobag.utils.errors import InputError
from audiobag.utils.files import write_rows

Advance = Callable[[int], None]
"""Called with the number of bytes read since the last call."""


AUDIOSET_DIM: Final = 128
"""Number of bytes in a frame of AudioSet."""


def audioset_description(source: str) -> DatasetInfo:
    """Return the description of AudioSet's features: one frame per second, dequantised as (x - 128) / 128."""
    classes = audioset_classes()
    return DatasetInfo(classes.names, classes.mids, frame_seconds=1.0, scale=1 / 128, offset=-1.0, source=source)


def own_description(
    class_names: Sequence[str], class_mids: Sequence[str], dtype: np.dtype[Any], source: str
) -> DatasetInfo:
    """Return the description of a user's own frames of 1 s: uint8 as in AudioSet's features, other numbers as they are.

    Args:
        class_names: K names.
        class_mids: K machine ids.
        dtype: of the frames.
        source: name of the source.
    """
    scale, offset = (1 / 128, -1.0) if dtype == np.uint8 else (1.0, 0.0)
    return DatasetInfo(tuple(class_names), tuple(class_mids), 1.0, scale, offset, source)


class BadRecord(Exception):
    """A single record is invalid; it can be skipped."""


def check_times(clip: Clip) -> None:
    """Check the start and the end of a clip, each of which may be NaN, unknown.

    Raises:
        BadRecord: one of them is negative or infinite, or the end is before the start.
    """
    start, end = clip.start_seconds, clip.end_seconds
    if start < 0 or end < start or end < 0 or math.inf in (start, end):  # comparisons with NaN are false
        raise BadRecord(f"the clip lasts from {start} to {end} s; expected finite seconds from 0, the end last")


class Rejection(NamedTuple):
    """A record that was skipped: its number from 1, or None for a whole file, and the reason."""

    split: str
    file: str
    record: int | None
    finding: str


class Rejects:
    """The bad records of a source: the first one stops the run, or all are collected for `rejected.csv`.

    Args:
        on_error: "stop" or "skip".
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.found: list[Rejection] = []

    def add(self, split: str, file: str, record: int | None, finding: str) -> None:
        """Report a bad record.

        Raises:
            ValueError: `on_error` is "stop".
        """
        if self.on_error == "stop":
            where = file if record is None else f"{file}, record {record}"
            raise InputError(f"{where}: {finding}; repair the source, or skip bad records with on_error=skip")
        self.found.append(Rejection(split, file, record, finding))

    def count(self, split: str) -> int:
        """Return the number of records of `split` that were skipped."""
        return sum(rejection.split == split for rejection in self.found)

    def write(self, path: Path) -> None:
        """Write the list as CSV, atomically; if it is empty, remove the file of an earlier run."""
        write_rows(path, Rejection._fields, self.found)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a source.

    Attributes:
        split: name of the store that its clips belong to.
        file: name of the file, for messages.
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
    description: DatasetInfo


@runtime_checkable
class Source(Protocol):
    """A collection of clips that can be read once from beginning to end."""

    @property
    def fingerprint(self) -> str:
        """Hash that changes with the source; made from names, sizes and times, not from the content."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files that a store of the same name would overwrite."""
        ...

    @property
    def size(self) -> int:
        """Number of bytes to read, for the progress bar."""
        ...

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield the files one by one; consume the clips of one before asking for the next."""
        ...


def fingerprint_files(root: Path, names: Iterable[str]) -> tuple[str, int]:
    """Return a hash of the names under `root`, sizes and modification times of files, and their size in all."""
    digest, size = hashlib.sha256(os.fsencode(root)), 0
    for name in names:
        status = os.stat(f"{root}/{name}")  # noqa: PTH116 (creating a Path for each of thousands of shards is slower)
        digest.update(os.fsencode(f"\n{name} {status.st_size} {status.st_mtime_ns}"))
        size += status.st_size
    return digest.hexdigest(), size
