"""What a source is, from how the user writes it: its kind, its fingerprint, and where its stores go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from audiobag.errors import UserError
from audiobag.prepare.arrays import SUFFIXES, ArrayFiles
from audiobag.prepare.download import download, is_address
from audiobag.prepare.shards import ShardArchive, ShardFolder, is_shard
from audiobag.prepare.source import Source
from audiobag.prepare.synthetic import SYNTHETIC, Synthetic

_ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Located:
    """A source before it is opened, which may take a download.

    Attributes:
        fingerprint: the same as long as the source is; see `Source`.
        open: (downloads, progress) -> the source; what it puts into the folder `downloads` stays.
    """

    fingerprint: str
    open: Callable[[Path, Progress], Source]


def default_out(source: str, size: str = "small") -> Path:
    """Return where the stores of a source go unless the user says otherwise.

    That is `data/synthetic/<size>` for the synthetic set, `data/<name>` for a file of the user's own embeddings,
    `data/audioset` for everything else.
    """
    if source == SYNTHETIC:
        return Path("data") / SYNTHETIC / size
    own = not is_address(source) and Path(source).suffix in SUFFIXES
    return Path("data") / (Path(source).stem if own else "audioset")


def locate(source: str, size: str) -> Located:
    """Say what a source is.

    Args:
        source: see `audiobag.prepare.prepare`.
        size: of the synthetic set.

    Raises:
        UserError: there is nothing, or nothing of a known kind.
    """
    if source == SYNTHETIC:
        generated = Synthetic(size)
        return Located(generated.fingerprint, lambda *_: generated)
    if is_address(source):
        return Located(_hash(source), lambda downloads, progress: _download(source, downloads, progress))
    opened = open_source(Path(source), source)
    return Located(opened.fingerprint, lambda *_: opened)


def open_source(path: Path, source: str, labelled: bool = True) -> Source:
    """Open a source that lies here.

    Args:
        path: a folder or a file.
        source: what it is to be called.
        labelled: whether its clips must have labels.

    Raises:
        UserError: there is nothing, or nothing of a known kind.
    """
    if path.is_dir():
        arrays = [p for p in path.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".")]
        only_arrays = arrays and not any(is_shard(p.name) for p in path.rglob("*"))
        return ArrayFiles(arrays, source, labelled) if only_arrays else ShardFolder(path, source, labelled)
    if not path.exists():
        raise UserError(f"there is no {path}: give a folder, a file or an address that is there, or {SYNTHETIC}")
    if path.name.endswith(_ARCHIVES):
        return ShardArchive(path, source, labelled)
    if is_shard(path.name):
        return ShardFolder(path, source, labelled)
    if path.suffix in SUFFIXES:
        return ArrayFiles([path], source, labelled)
    known = ", ".join((*_ARCHIVES, ".tfrecord", *SUFFIXES))
    raise UserError(f"{path} is of no known kind: expected a folder or a file whose name ends in {known}")


def _download(address: str, folder: Path, progress: Progress) -> Source:
    task = progress.add_task("downloading", total=None)
    path = download(address, folder, lambda here, total: progress.update(task, completed=here, total=total))
    return open_source(path, address)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
