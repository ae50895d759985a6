"""The store: one split of a data set on disk, in one HDF5 file.

The frames of all bags are stored end to end in one contiguous, uncompressed data set, so that several processes can
map the same pages; everything else is small and is read into memory. Clips are sorted by video id, so the
`content_sha256` of a release does not depend on how it was packed.

| data set | dtype | shape | meaning |
| --- | --- | --- | --- |
| frames | that of the source | [F, D] | all bags end to end |
| offsets | int64 | [N + 1] | clip i has frames[offsets[i] : offsets[i + 1]] |
| label_ids | int16 or int32 | [P] | classes of all clips end to end, ascending within a clip |
| label_offsets | int64 | [N + 1] | clip i has label_ids[label_offsets[i] : label_offsets[i + 1]] |
| video_id | bytes | [N] | ascending and unique |
| start_seconds, end_seconds | float32 | [N] | position of the clip in its video; NaN if unknown |
| class_names, class_mids | bytes (UTF-8) | [K] | display name and machine id of each class |
| witness_frames | int32 | [W] | optional: the frames (from 0 in their bag) that show a label |
| witness_offsets | int64 | [P + 1] | label j of label_ids is shown by witness_frames[w[j] : w[j + 1]] |

A store may also have a group `strong`, see `audiobag.data.strong_events`.

Attributes: `format_version`, `content_sha256` (of all data sets and the next three attributes), `scale` and `offset`
(x * scale + offset dequantises a frame; 1/128 and -1 for AudioSet), `frame_seconds` (duration of a frame), `source`
(name of the source, for information). Stores of embeddings that audiobag made also have `encoder`, a JSON object with
`name`, `config` and `weights_sha256` of the encoder; it is part of the checksum.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from audiobag.labels import LabelTable
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic, check_readable
from audiobag.utils.hdf5 import check_claim, check_links, open_hdf5, read_whole

FORMAT_VERSION = 1
_COLUMNS = ("offsets", "label_ids", "label_offsets", "video_id", "start_seconds", "end_seconds")
_WITNESS = ("witness_frames", "witness_offsets")


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Classes of a data set and the meaning of its frames; the module's table gives the details.

    `encoder` is the record of the encoder that made the frames, see `audiobag.sound.Encoder`; None if it is unknown.
    """

    class_names: tuple[str, ...]
    class_mids: tuple[str, ...]
    frame_seconds: float
    scale: float
    offset: float
    source: str
    encoder: Mapping[str, Any] | None = None

    def wrong(self) -> str | None:
        """Return what is wrong with the three numbers, in words; None if they are right."""
        if not (self.frame_seconds > 0 and math.isfinite(self.frame_seconds)):
            return f"frame_seconds is {self.frame_seconds}, expected a number of seconds above 0"
        with np.errstate(over="ignore", under="ignore"):
            scale, offset = np.float32(self.scale), np.float32(self.offset)
        if not (np.isfinite(scale) and scale != 0):
            return f"scale is {self.scale}, expected a finite number other than 0"
        if not np.isfinite(offset):
            return f"offset is {self.offset}, expected a finite number"
        return None


@dataclass(frozen=True, slots=True)
class Columns:
    """Everything but the frames of N clips; the module's table gives dtypes and shapes."""

    offsets: NDArray[np.int64]
    label_ids: NDArray[np.integer[Any]]
    label_offsets: NDArray[np.int64]
    video_id: NDArray[np.character]
    start_seconds: NDArray[np.float32]
    end_seconds: NDArray[np.float32]
    witness_frames: NDArray[np.int32] | None = None
    witness_offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.video_id)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of frames of each clip, [N]."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Store:
    """A split opened for reading: `frames` is mapped from the file, `columns` are in memory."""

    path: Path
    frames: NDArray[Any]
    columns: Columns
    description: DatasetInfo
    content_sha256: str
    attributes: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return len(self.description.class_names)

    @property
    def dim(self) -> int:
        """Dimension D of a frame."""
        return int(self.frames.shape[1])

    @property
    def labels(self) -> LabelTable:
        """Classes of each clip."""
        return LabelTable(self.columns.label_ids, self.columns.label_offsets, self.classes)


def write_store(
    path: Path,
    *,
    frames: Iterable[NDArray[Any]],
    dim: int,
    dtype: np.dtype[Any],
    columns: Columns,
    description: DatasetInfo,
    attributes: dict[str, Any] | None = None,
) -> str:
    """Write a store atomically and return its `content_sha256`.

    Args:
        path: the file; its folder is created if needed.
        frames: blocks [n, dim] of the frames, in the order of the clips. A block must not be changed afterwards: it is
            hashed while the next one is prepared.
        dim: D.
        dtype: of the frames.
        columns: everything else, sorted by `video_id`.
        description: classes, dequantisation, source.
        attributes: further attributes, for information; not part of the checksum.

    Raises:
        ValueError: the columns contradict each other or the frames.
    """
    _check_columns(path, columns, len(description.class_names))
    total = int(columns.offsets[-1])
    digest = hashlib.sha256()
    with atomic(path) as temporary, open_hdf5(temporary, "w", libver="v110") as file:
        target = file.create_dataset("frames", (total, dim), dtype)
        filled = 0
        with ThreadPoolExecutor(1) as hashing:  # Hashing takes as long as writing.
            hashed = hashing.submit(_hash_header, digest, "frames", dtype, (total, dim))
            for piece in frames:
                hashed.result()
                hashed = hashing.submit(digest.update, np.ascontiguousarray(piece).data)
                target[filled : filled + len(piece)] = piece
                filled += len(piece)
            hashed.result()
        if filled != total:
            raise ValueError(f"{path}: the offsets are those of {total} frames, got {filled}")
        for name in (*_COLUMNS, *_WITNESS):
            _write_hashed(file, digest, name, getattr(columns, name))
        _write_hashed(file, digest, "class_names", _encode(description.class_names))
        _write_hashed(file, digest, "class_mids", _encode(description.class_mids))
        meaning = {k: getattr(description, k) for k in ("scale", "offset", "frame_seconds")}
        digest.update(json.dumps(meaning, sort_keys=True).encode())
        file.attrs.update(meaning)
        if description.encoder is not None:
            encoder = json.dumps(description.encoder, sort_keys=True)
            digest.update(encoder.encode())
            file.attrs["encoder"] = encoder
        file.attrs.update(attributes or {})
        file.attrs["source"] = _bytes(description.source).decode()
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["content_sha256"] = digest.hexdigest()
    return digest.hexdigest()


def open_store(path: str | Path) -> Store:
    """Open a store and check its columns.

    Raises:
        ValueError: the file is missing, unreadable, damaged, not a store, or has another format version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no store at {path}: make it with audiobag-prepare, or give the folder that contains it")
    check_readable(path)
    try:
        with open_hdf5(path) as file:
            check_links(file)
            version = file.attrs.get("format_version")
            if version != FORMAT_VERSION:
                found = "is not an audiobag store" if version is None else f"has format version {version}"
                raise InputError(f"{path} {found}; expected version {FORMAT_VERSION}: make it with audiobag-prepare")
            columns = Columns(**{n: read_whole(file[n]) for n in (*_COLUMNS, *_WITNESS) if n in file})
            names, mids = (tuple(x.decode() for x in read_whole(file[n])) for n in ("class_names", "class_mids"))
            attributes = dict(file.attrs)
            description = DatasetInfo(
                class_names=names,
                class_mids=mids,
                frame_seconds=float(attributes["frame_seconds"]),
                scale=float(attributes["scale"]),
                offset=float(attributes["offset"]),
                source=str(attributes["source"]),
                encoder=_encoder(attributes),
            )
            if len(names) != len(mids):
                raise ValueError(f"{len(names)} names of classes, {len(mids)} machine ids")
            frames = _map(path, file["frames"])
    except InputError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged or not an audiobag store ({error}): make it again") from error
    if wrong := description.wrong():
        raise InputError(f"{path}: {wrong}: make it again with audiobag-prepare")
    _check_columns(path, columns, len(names))
    if columns.offsets[-1] != len(frames):
        raise InputError(f"{path} has {len(frames)} frames but offsets for {columns.offsets[-1]}: make it again")
    return Store(path, frames, columns, description, str(attributes["content_sha256"]), attributes)


def _encoder(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "encoder" not in attributes:
        return None
    record = json.loads(str(attributes["encoder"]))
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise ValueError("its record of the encoder is not one")
    return record


def _map(path: Path, frames: h5py.Dataset) -> NDArray[Any]:
    """Map the contiguous data set from the file; all processes share its pages.

    The mode is copy-on-write because torch warns about arrays that are not writable. Nothing writes to it.
    """
    check_claim(frames)
    if frames.ndim != 2 or frames.dtype.kind not in "uif" or not frames.dtype.isnative:
        raise ValueError(f"frames is {frames.dtype.str} {list(frames.shape)}, expected numbers [F, D]")
    start = frames.id.get_offset()
    if start is None:
        raise ValueError("frames is compressed or in chunks, expected one contiguous block")
    return np.memmap(path, frames.dtype, "c", start, frames.shape)


def _check_columns(path: Path, columns: Columns, classes: int) -> None:
    """Refuse columns that contradict each other."""

    def check(good: bool | np.bool_, finding: str) -> None:
        if not good:
            raise InputError(f"{path} is damaged, {finding}: make it again with audiobag-prepare")

    n = len(columns)
    for name in ("start_seconds", "end_seconds"):
        check(getattr(columns, name).shape == (n,), f"{name} does not have {n} entries")
    for name in ("offsets", "label_offsets"):
        offsets = getattr(columns, name)
        check(
            offsets.shape == (n + 1,) and offsets[0] == 0,
            f"{name} does not start at 0 or does not have {n + 1} entries",
        )
        check(bool(np.all(np.diff(offsets) >= 0)), f"{name} decreases")
    check(bool(np.all(columns.lengths >= 1)), "a clip has no frames")
    check(len(columns.label_ids) == columns.label_offsets[-1], "label_ids and label_offsets disagree")
    if len(columns.label_ids):
        low, high = int(columns.label_ids.min()), int(columns.label_ids.max())
        check(low >= 0 and high < classes, f"its labels are in {low}..{high}, its classes in 0..{classes - 1}")
    ids: NDArray[Any] = columns.video_id
    check(bool(np.all(ids[1:] > ids[:-1])), "its video ids are repeated or unsorted")
    start, end = columns.start_seconds, columns.end_seconds
    bad = (start < 0) | (end < 0) | (end < start) | np.isinf(start) | np.isinf(end)  # NaN means unknown
    if bad.any():
        i = int(np.argmax(bad))
        check(False, f"its clip {bytes(ids[i]).decode(errors='replace')} lasts from {start[i]} to {end[i]} s")


def _write_hashed(file: h5py.File, digest: Any, name: str, values: NDArray[Any] | None) -> None:
    if values is None:
        return
    file[name] = values
    _hash_header(digest, name, values.dtype, values.shape)
    digest.update(np.ascontiguousarray(values).tobytes())


def _hash_header(digest: Any, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    digest.update(f"{name} {dtype.str} {list(shape)}\n".encode())


def _encode(strings: tuple[str, ...]) -> NDArray[np.character]:
    return np.array([_bytes(s) for s in strings], dtype=np.bytes_)


def _bytes(text: str) -> bytes:
    """Return a text in UTF-8; bytes of a file name that are not UTF-8 are escaped."""
    return text.encode(errors="backslashreplace")
