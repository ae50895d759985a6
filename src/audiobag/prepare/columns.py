"""Tables of clips in Parquet files and Hugging Face data sets on disk: a row per clip, with a column of vectors."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.labels import SPLITS
from audiobag.prepare.records import Clip
from audiobag.prepare.source import Advance, BadRecord, Part, Rejects, fingerprint_files, own_description
from audiobag.prepare.vectors import as_frames, check_alike
from audiobag.utils.errors import InputError

SUFFIXES: Final = (".parquet", ".arrow")
_VECTORS: Final = ("frames", "embedding", "embeddings", "audio_embedding", "features", "feature", "vector", "vectors")
_IDS: Final = ("video_id", "id", "clip_id", "file", "filename", "fname", "path", "name", "key")
_LABELS: Final = ("labels", "label", "classes", "category", "class", "tags", "target")
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")
_ROWS: Final = 256


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a table: id (None for the number of the row), vectors, labels, and names of numbered labels."""

    identifier: str | None
    vectors: str
    labels: str | None
    names: tuple[str, ...] | None


class ColumnFiles:
    """Parquet files, or the Arrow files of a data set that `datasets` saved to disk.

    A file belongs to the split that its name says, as in `test-00000-of-00002.parquet`; in a data set on disk the
    folder says so.

    Args:
        paths: the files.
        source: name of the source, recorded in the stores.
        labelled: whether there must be a column of labels.

    Raises:
        ValueError: pyarrow is not installed, or a file has no column of vectors or of labels.
    """

    def __init__(self, paths: Sequence[Path], source: str, labelled: bool = True) -> None:
        self.paths = tuple(sorted(paths))
        self._arrow = _pyarrow()
        self._source, self._labelled = source, labelled
        self._columns = {path: self._choose(path) for path in self.paths}
        self._classes = self._vocabulary()
        resolved = [path.resolve() for path in self.paths]
        folder = Path(os.path.commonpath([path.parent for path in resolved]))
        names = (path.relative_to(folder).as_posix() for path in resolved)
        self.fingerprint, self.size = fingerprint_files(folder, names)

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each file."""
        first = self._first(self.paths[0])
        info = own_description(self._classes, ("",) * len(self._classes), first.dtype, self._source)
        for path in self.paths:
            split = _split(path)
            clips = self._clips(path, split, first, rejects, advance)
            yield Part(split, path.name, clips, first.shape[1], first.dtype, info)

    def _clips(
        self, path: Path, split: str, first: NDArray[Any], rejects: Rejects, advance: Advance
    ) -> Iterator[tuple[int, Clip]]:
        columns, indices = self._columns[path], {name: k for k, name in enumerate(self._classes)}
        wanted = [name for name in (columns.identifier, columns.vectors, columns.labels) if name is not None]
        number, size = 0, path.stat().st_size
        total = max(1, sum(batch.num_rows for batch in self._batches(path, wanted[:1])))
        for batch in self._batches(path, wanted):
            rows = batch.to_pydict()
            for i in range(batch.num_rows):
                number += 1
                identifier = rows[columns.identifier][i] if columns.identifier else None
                name = f"{path.stem}-{number:07d}" if identifier is None else str(identifier)
                try:
                    frames = _vectors(rows[columns.vectors][i])
                    check_alike(frames, first.shape[1], first.dtype)
                    names = _names(rows[columns.labels][i], columns) if columns.labels and self._labelled else []
                except BadRecord as error:
                    rejects.add(split, path.name, number, f"{name}: {error}")
                    continue
                ids = sorted({indices[one] for one in names})
                yield number, Clip(name.encode(errors="surrogateescape"), frames, ids, math.nan, math.nan)
            advance(size * number // total - size * (number - batch.num_rows) // total)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        """Open a file: one of Parquet has `iter_batches`, one of Arrow iterates over its batches."""
        try:
            if path.suffix == ".parquet":
                with import_module("pyarrow.parquet").ParquetFile(path) as file:
                    yield file
            else:
                with self._arrow.memory_map(str(path)) as source, _reader(self._arrow, source) as stream:
                    yield stream
        except (self._arrow.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}): write it again") from error

    def _batches(self, path: Path, columns: Sequence[str]) -> Iterator[Any]:
        """Yield batches of rows with some columns."""
        with self._opened(path) as file:
            if path.suffix == ".parquet":
                yield from file.iter_batches(_ROWS, columns=list(columns))
            else:
                yield from (batch.select(list(columns)) for batch in file)

    def _choose(self, path: Path) -> _Columns:
        with self._opened(path) as file:
            schema = file.schema_arrow if path.suffix == ".parquet" else file.schema
        lower = {name.lower(): name for name in schema.names}
        candidates = [name for name in schema.names if self._is_vectors(schema.field(name).type)]
        vectors = next((lower[name] for name in _VECTORS if lower.get(name) in candidates), None)
        if vectors is None and len(candidates) == 1:
            vectors = candidates[0]
        found = ", ".join(schema.names)
        if vectors is None:
            raise InputError(f"{path} must have one column of vectors ({', '.join(_VECTORS[:3])}, ...), got {found}")
        labels = next((lower[name] for name in _LABELS if name in lower and lower[name] != vectors), None)
        if labels is None and self._labelled:
            raise InputError(f"{path} must have a column of labels ({', '.join(_LABELS[:3])}, ...), got {found}")
        identifier = next((lower[name] for name in _IDS if name in lower), None)
        return _Columns(identifier, vectors, labels, None if labels is None else _class_names(schema, labels))

    def _is_vectors(self, kind: Any) -> bool:
        """Return whether a column has a list of numbers, or a list of such lists, in each row."""
        types = self._arrow.types
        kind = getattr(kind, "storage_type", kind)
        depth = 0
        while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            kind, depth = kind.value_type, depth + 1
        return depth in (1, 2) and (types.is_floating(kind) or types.is_uint8(kind))

    def _vocabulary(self) -> tuple[str, ...]:
        """Return the names of all classes: those that the files declare, or else those that rows have, sorted."""
        if not self._labelled:
            return ()
        declared = {columns.names for columns in self._columns.values()}
        if len(declared) == 1 and (names := next(iter(declared))) is not None:
            return names
        found: set[str] = set()
        for path, columns in self._columns.items():
            assert columns.labels is not None
            for batch in self._batches(path, [columns.labels]):
                for value in batch.column(0).to_pylist():
                    try:
                        found.update(_names(value, columns))
                    except BadRecord:
                        continue  # is reported when the clips are read
        if all(name.isdecimal() for name in found):
            return tuple(sorted(found, key=int))
        return tuple(sorted(found))

    def _first(self, path: Path) -> NDArray[Any]:
        column = self._columns[path].vectors
        for batch in self._batches(path, [column]):
            for value in batch.column(0).to_pylist():
                try:
                    return _vectors(value)
                except BadRecord:
                    continue
        raise InputError(f"{path} has no row with vectors of one length in {column}")


def column_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder, or the Arrow files of a data set of Hugging Face on disk."""
    if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return [path for path in sorted(folder.rglob("*.arrow")) if not path.name.startswith(("cache-", "."))]
    return sorted(folder.rglob("[!.]*.parquet"))


def _split(path: Path) -> str:
    """Return the split of a file: an Arrow file's folder, another's own name without the number of a shard."""
    name = path.resolve().parent.name if path.suffix == ".arrow" else _SHARD.sub("", path.stem)
    split = SPLITS.get(name.lower(), name)
    return re.sub(r"[^\w.-]", "_", split) or "clips"


def _vectors(value: Any) -> NDArray[Any]:
    if value is None:
        raise BadRecord("its vectors are null")
    try:
        array = np.asarray(value)
        if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
            array = array.astype(np.uint8)
    except (ValueError, TypeError) as error:
        raise BadRecord("its vectors have different lengths") from error
    return as_frames(array)


def _names(value: Any, columns: _Columns) -> list[str]:
    """Return the names of the labels in a cell: a text, a number, or a list of these."""
    several = value if isinstance(value, list) else [] if value is None else [value]
    names = columns.names
    found = []
    for one in several:
        if names is not None and isinstance(one, int):
            if not 0 <= one < len(names):
                raise BadRecord(f"label {one} is outside 0..{len(names) - 1}")
            found.append(names[one])
        elif isinstance(one, str | int) and not isinstance(one, bool):
            found.append(str(one))
        else:
            raise BadRecord(f"label {one!r} is neither a text nor a whole number")
    return found


def _class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """Return the names of numbered labels that `datasets` keeps beside the columns; None if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
    except (KeyError, ValueError, TypeError):
        return None
    inner: Any = features.get("feature", features) if isinstance(features, Mapping) else features
    inner = inner[0] if isinstance(inner, list) and inner else inner
    names = inner.get("names") if isinstance(inner, Mapping) else None
    return tuple(map(str, names)) if isinstance(names, list) else None


def _reader(arrow: Any, source: Any) -> Any:
    """Return a reader of an Arrow file in either of its forms."""
    try:
        return arrow.ipc.open_stream(source)
    except arrow.ArrowInvalid:
        source.seek(0)
        return arrow.ipc.open_file(source)


def _pyarrow() -> Any:
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise InputError(f"source needs pip install 'audiobag[tables]' to read Parquet and Arrow ({error})") from error
