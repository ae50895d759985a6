"""Sources that are files of arrays, one per split; `tables` describes their content."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from audiobag.prepare.inflate import MOST
from audiobag.prepare.records import Clip, Reject
from audiobag.prepare.source import Advance, BadRecord, Part, Rejects, check_times, fingerprint_files
from audiobag.prepare.tables import Table, read_table
from audiobag.utils.errors import InputError
from audiobag.utils.hdf5 import check_claim, check_links, open_hdf5

SUFFIXES = (".h5", ".hdf5", ".npz")
BLOCK_BYTES = 2**24
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


class ArrayFiles:
    """HDF5 or NPZ files, each of which is a split with the file's name.

    Args:
        paths: the files, all in one folder.
        source: name of the source, recorded in the stores.
        labelled: whether every clip must have labels.
    """

    def __init__(self, paths: Sequence[Path], source: str, labelled: bool = True) -> None:
        self.paths = tuple(sorted(paths))
        self._source, self._labelled = source, labelled
        stems = [path.stem for path in self.paths]
        for path in self.paths:
            if stems.count(path.stem) > 1:
                raise InputError(f"{path.parent} has several files named {path.stem}: keep one file per split")
        folder = self.paths[0].resolve().parent
        self.fingerprint, self.size = fingerprint_files(folder, (path.name for path in self.paths))

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each file."""
        for path in self.paths:
            with ExitStack() as files:
                table = _open(path, files, self._source, self._labelled)
                reject = partial(rejects.add, path.stem, path.name)
                clips = _clips(path, table, reject, advance)
                yield Part(path.stem, path.name, clips, table.dim, table.dtype, table.description)


def _open(path: Path, files: ExitStack, source: str, labelled: bool) -> Table:
    try:
        if path.suffix == ".npz":
            archive = np.load(files.enter_context(path.open("rb")), allow_pickle=False)
            if not isinstance(archive, Mapping):
                raise ValueError("it is not an archive of arrays")
            _check_growth(path)
            return read_table(path, dict(archive), {}, source, labelled)
        file = files.enter_context(open_hdf5(path))
        check_links(file)
        arrays = {name: array for name, array in file.items() if isinstance(array, h5py.Dataset)}
        for array in arrays.values():
            check_claim(array)
        return read_table(path, arrays, file.attrs, source, labelled)
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path} cannot be read ({error}); expected an HDF5 file, or NPZ without pickles") from error


def _check_growth(path: Path) -> None:
    """Refuse an archive that would exhaust the memory; it declares the sizes of its members."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MOST * path.stat().st_size:
        raise ValueError(f"its arrays would grow to {size:,} bytes, more than {MOST} times the file")


def _clips(path: Path, table: Table, reject: Reject, advance: Advance) -> Iterator[tuple[int, Clip]]:
    """Yield (number from 1, clip), reading blocks of at least one clip and otherwise bounded size."""
    size = path.stat().st_size
    per_block = max(1, BLOCK_BYTES // (table.dim * table.dtype.itemsize))
    first = 0
    while first < len(table):
        limit = table.offsets[first] + per_block
        last = max(first + 1, int(np.searchsorted(table.offsets, limit, side="right")) - 1)
        try:
            frames, labels = table.frames(first, last), table.labels(first, last)
        except _UNREADABLE as error:
            raise InputError(f"{path} cannot be read beyond clip {first} ({error}): write the file again") from error
        # Checking the sum of each frame instead would be faster, but sums of finite float16 numbers overflow.
        finite = np.isfinite(frames).all(axis=1) if frames.dtype.kind == "f" else None
        for clip in range(first, last):
            start, end = table.offsets[clip : clip + 2] - table.offsets[first]
            try:
                if start == end:
                    raise BadRecord("the clip has no frames")
                if finite is not None and not finite[start:end].all():
                    frame = int(np.argmin(finite[start:end]))
                    raise BadRecord(f"frame {frame} contains NaN or infinity")
                times = float(table.start_seconds[clip]), float(table.end_seconds[clip])
                found = Clip(table.video_id[clip], frames[start:end], labels(clip), *times)
                check_times(found)
            except BadRecord as finding:
                reject(clip + 1, f"video id {table.video_id[clip].decode(errors='replace')}: {finding}")
            else:
                yield clip + 1, found
        advance(size * last // len(table) - size * first // len(table))
        first = last
