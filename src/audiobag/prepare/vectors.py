"""A folder of .npy files, one per clip, with a CSV of their labels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.labels import NO_LABELS, read_labels
from audiobag.prepare.records import Clip
from audiobag.prepare.source import Advance, BadRecord, Part, Rejects, fingerprint_files, own_description
from audiobag.prepare.splits import assign
from audiobag.utils.errors import InputError

_SUFFIX = ".npy"


class VectorFolder:
    """A folder of arrays [T, D] or [D], one file per clip, and one CSV with their labels; see `read_labels`.

    The CSV may have the columns `split` or `fold`; without them, a hash of each name puts a fifth into the eval set.

    Args:
        path: the folder.
        source: name of the source, recorded in the stores.
        labelled: whether there must be a CSV.

    Raises:
        ValueError: there is no CSV or more than one, or no array, or the CSV cannot be used.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, path: Path, source: str, labelled: bool = True) -> None:
        self._root, self._source = path.resolve(), source
        names = sorted(p.relative_to(self._root).as_posix() for p in vector_files(self._root))
        tables = sorted(p.name for p in self._root.glob("*.csv"))
        if len(tables) > 1 or (labelled and not tables):
            found = ", ".join(tables) or "none"
            raise InputError(f"{path} must have one CSV with the labels of its {_SUFFIX} files, got {found}")
        self._labels = NO_LABELS
        if tables and labelled:
            files = {name: self._root / name for name in names}
            self._labels = read_labels([self._root / tables[0]], files, self._root)
            names = [name for name in names if name in self._labels.of]
        self._names = names
        self._splits = assign(names, self._labels, split=None if labelled else "clips")
        self.fingerprint, self.size = fingerprint_files(self._root, [*names, *tables])
        first = self._first()
        self._dim, self._dtype = first.shape[1], first.dtype

    def _first(self) -> NDArray[Any]:
        for name in self._names:
            try:
                return _frames(self._root / name)
            except BadRecord as error:
                reason = error
        raise InputError(f"{self._root} has no array [T, D] of uint8, float16 or float32; {self._names[0]}: {reason}")

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each split."""
        info = own_description(self._labels.class_names, self._labels.class_mids, self._dtype, self._source)
        for split in sorted(set(self._splits.values())):
            yield Part(split, self._root.name, self._clips(split, rejects, advance), self._dim, self._dtype, info)

    def _clips(self, split: str, rejects: Rejects, advance: Advance) -> Iterator[tuple[int, Clip]]:
        indices = self._labels.indices()
        for number, name in enumerate((n for n in self._names if self._splits[n] == split), 1):
            path = self._root / name
            try:
                frames = _frames(path)
                check_alike(frames, self._dim, self._dtype)
            except BadRecord as error:
                rejects.add(split, name, None, str(error))
                continue
            ids = sorted({indices[event.label] for event in self._labels.events(name)})
            yield number, Clip(os.fsencode(name.removesuffix(_SUFFIX)), frames, ids, math.nan, math.nan)
            advance(path.stat().st_size)


def vector_files(folder: Path) -> Iterator[Path]:
    """Yield the .npy files in a folder and its subfolders, without hidden ones such as macOS's `._x.npy`."""
    return folder.rglob(f"[!.]*{_SUFFIX}")


def as_frames(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of one clip as frames [T, D] in a dtype that stores have.

    Raises:
        BadRecord: it has another shape or dtype, no frame, or a number that is not finite.
    """
    if array.ndim not in (1, 2) or not array.size:
        raise BadRecord(f"it is [{', '.join(map(str, array.shape))}], expected [T, D] or [D] with at least one number")
    frames = np.atleast_2d(array)
    if frames.dtype == np.float64:
        with np.errstate(over="ignore"):  # becomes infinity, which is refused
            frames = frames.astype(np.float32)
    if frames.dtype.newbyteorder("=") not in (np.uint8, np.float16, np.float32):
        raise BadRecord(f"it is {array.dtype}, expected uint8, float16, float32 or float64")
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        raise BadRecord("it contains NaN or infinity")
    return np.ascontiguousarray(frames, frames.dtype.newbyteorder("="))


def check_alike(frames: NDArray[Any], dim: int, dtype: np.dtype[Any]) -> None:
    """Check that frames are like those of the first clip.

    Raises:
        BadRecord: they have another width or dtype.
    """
    if (frames.shape[1], frames.dtype) != (dim, dtype):
        raise BadRecord(f"it is {frames.dtype} [{len(frames)}, {frames.shape[1]}], expected {dtype} [T, {dim}]")


def _frames(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadRecord(f"it cannot be read as an array ({error})") from error
    if not isinstance(array, np.ndarray):
        raise BadRecord("it is an archive, expected one array")
    return as_frames(array)
