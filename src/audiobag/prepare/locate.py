"""Finding a source from its name: its kind, its fingerprint, and the default folder of its stores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from audiobag.prepare.archive import ShardArchive
from audiobag.prepare.arrays import SUFFIXES, ArrayFiles
from audiobag.prepare.columns import SUFFIXES as COLUMN_SUFFIXES
from audiobag.prepare.columns import ColumnFiles, column_files
from audiobag.prepare.download import download, is_address
from audiobag.prepare.shards import ShardFolder, is_shard
from audiobag.prepare.source import Source
from audiobag.prepare.synthetic import SYNTHETIC, Synthetic
from audiobag.prepare.vectors import VectorFolder, vector_files
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable

_ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Located:
    """A source before it is opened; opening it may start a download.

    Attributes:
        fingerprint: changes with the source; see `Source`.
        open: (downloads, progress) -> the source; downloaded files stay in the folder `downloads`.
    """

    fingerprint: str
    open: Callable[[Path, Progress], Source]


def default_out(source: str, size: str = "small") -> Path:
    """Return the default folder for the stores of a source.

    It is `data/synthetic/<size>` for the synthetic data set, `data/<name>` for a file of the user's own embeddings, and
    `data/audioset` for everything else.
    """
    if source == SYNTHETIC:
        return Path("data") / SYNTHETIC / size
    path = Path(source)
    own = not is_address(source) and (
        path.suffix in (*SUFFIXES, *COLUMN_SUFFIXES)
        or (path.is_dir() and (column_files(path) or next(vector_files(path), None)))
    )
    return Path("data") / (path.stem if own else "audioset")


def locate(source: str, size: str) -> Located:
    """Find a source.

    Args:
        source: see `audiobag.prepare.prepare`.
        size: size of the synthetic data set.

    Raises:
        ValueError: the source does not exist or is of an unknown kind.
    """
    if source == SYNTHETIC:
        generated = Synthetic(size)
        return Located(generated.fingerprint, lambda *_: generated)
    if is_address(source):
        fingerprint = hashlib.sha256(source.encode()).hexdigest()
        return Located(fingerprint, lambda downloads, progress: _download(source, downloads, progress))
    opened = open_source(Path(source), source)
    return Located(opened.fingerprint, lambda *_: opened)


def open_source(path: Path, source: str, labelled: bool = True) -> Source:
    """Open a local source.

    Args:
        path: a folder or a file.
        source: name of the source, recorded in the stores.
        labelled: whether every clip must have labels.

    Raises:
        ValueError: the source does not exist or is of an unknown kind.
    """
    check_readable(path)
    if path.is_dir():
        arrays = [p for p in path.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".")]
        if columns := column_files(path):
            return ColumnFiles(columns, source, labelled)
        if not arrays and next(vector_files(path), None) is not None:
            return VectorFolder(path, source, labelled)
        only_arrays = arrays and not any(is_shard(p.name) for p in path.rglob("*"))
        return ArrayFiles(arrays, source, labelled) if only_arrays else ShardFolder(path, source, labelled)
    if not path.exists():
        raise InputError(f"there is no {path}; expected an existing folder or file, an http(s) address, or {SYNTHETIC}")
    if path.name.endswith(_ARCHIVES):
        return ShardArchive(path, source, labelled)
    if is_shard(path.name):
        return ShardFolder(path, source, labelled)
    if path.suffix in SUFFIXES:
        return ArrayFiles([path], source, labelled)
    if path.suffix in COLUMN_SUFFIXES:
        return ColumnFiles([path], source, labelled)
    known = ", ".join((*_ARCHIVES, ".tfrecord", *SUFFIXES, *COLUMN_SUFFIXES))
    raise InputError(f"{path} is of an unknown kind; expected a folder, or a file whose name ends in {known}")


def _download(address: str, folder: Path, progress: Progress) -> Source:
    task = progress.add_task("downloading", total=None)
    path = download(address, folder, lambda here, total: progress.update(task, completed=here, total=total))
    return open_source(path, address)
