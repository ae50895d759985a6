"""Sources of published records: a folder of shards, one shard, or a tar archive of them, read as a stream."""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from audiobag.errors import UserError
from audiobag.prepare.inflate import Inflated, Readable, looks_compressed
from audiobag.prepare.parse import Parser
from audiobag.prepare.records import Clip, Reject, read_payloads
from audiobag.prepare.source import (
    AUDIOSET_DIM,
    Advance,
    BadRecord,
    Part,
    Rejects,
    audioset_description,
    fingerprint_files,
)

_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
# tarfile copies what is left of a block at every read.
_TAR_BLOCK = 2**15


def is_shard(name: str) -> bool:
    """Say whether a file of this name is a shard; hidden files, such as a Mac's `._x.tfrecord`, are not."""
    last = name.rpartition("/")[2]
    return ".tfrecord" in last and not last.startswith(".")


class ShardFolder:
    """The shards in a folder and below it, in the order of their names; or a single one.

    Args:
        path: the folder or the file.
        source: what the stores are to say of where they come from.
        labelled: whether there must be labels.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, path: Path, source: str, labelled: bool = True) -> None:
        self._root = path.resolve() if path.is_dir() else path.resolve().parent
        self._shards = _find_shards(self._root) if path.is_dir() else [(self._root.name, path.name)]
        if not self._shards:
            raise UserError(f"{path} holds no *.tfrecord file; expected AudioSet's folder of bal_train/ and eval/")
        self._source, self._labelled = source, labelled
        self.fingerprint, self.size = fingerprint_files(self._root, (name for _, name in self._shards))

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each shard; it belongs to the split that its folder names."""
        parts = _Parts(self._source, self._labelled, rejects)
        for split, name in self._shards:
            try:
                # Path objects would cost as much as reading five records does.
                with open(f"{self._root}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
                    yield from parts.of(split, name, _Counted(file, advance))
            except OSError as error:
                rejects.add(split, name, None, f"the file cannot be read ({error.strerror})")


def _find_shards(root: Path) -> list[tuple[str, str]]:
    """Return (name of its folder, path under `root`) of every shard, in the order of the paths."""
    found = []
    for folder, _, names in os.walk(root):
        split = Path(folder).name
        under = "" if folder == str(root) else folder[len(str(root).rstrip("/")) + 1 :] + "/"
        found += [(split, under + name) for name in names if is_shard(name)]
    return sorted(found, key=itemgetter(1))


class ShardArchive:
    """A `.tar` or `.tar.gz` of shards, read once from beginning to end; nothing is unpacked.

    Args:
        path: the archive.
        source: what the stores are to say of where they come from.
        labelled: whether there must be labels.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, path: Path, source: str, labelled: bool = True) -> None:
        self._path = path
        self._source, self._labelled = source, labelled
        self.fingerprint, self.size = fingerprint_files(path.resolve().parent, [path.name])

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each shard; names in the archive name splits, and are never used as paths."""
        parts = _Parts(self._source, self._labelled, rejects)
        stem = _stem(self._path.name)
        shards = 0
        try:
            with self._path.open("rb", buffering=0) as file:
                stream: Readable = _Counted(file, advance)
                start = file.read(2)
                file.seek(0)
                if looks_compressed(start + b"\x08"):
                    stream = Inflated(stream)
                fileobj: Any = stream
                with tarfile.open(fileobj=fileobj, mode="r|", bufsize=_TAR_BLOCK, tarinfo=_StrictHeader) as archive:
                    while member := archive.next():
                        archive.members.clear()  # type: ignore[attr-defined]  # tarfile would remember them all.
                        if not is_shard(member.name) or member.isdir():
                            continue
                        shards += 1
                        split = PurePosixPath(member.name).parent.name or stem
                        content = archive.extractfile(member) if member.isreg() else None
                        if content is None:
                            rejects.add(split, member.name, None, "the archive holds a link, expected a file")
                        else:
                            yield from parts.of(split, member.name, content)
                while stream.read(_TAR_BLOCK):  # To the end, where the checksum of the compression stands.
                    pass
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            rejects.add("", str(self._path), None, f"the archive cannot be read to its end ({error})")
        if not shards:
            raise UserError(f"{self._path} holds no *.tfrecord file; expected AudioSet's features.tar.gz or its like")


class _Parts:
    """Makes parts of streams; the parser outlives a shard, since it learns from record to record."""

    def __init__(self, source: str, labelled: bool, rejects: Rejects) -> None:
        self._description = audioset_description(source)
        self._parser = Parser(AUDIOSET_DIM, len(self._description.class_names), labelled)
        self._rejects = rejects

    def of(self, split: str, name: str, stream: Readable) -> Iterator[Part]:
        def reject(record: int | None, finding: str) -> None:
            self._rejects.add(split, name, record, finding)

        if not _SPLIT_NAME.fullmatch(split):
            return reject(None, f"its folder, {split!r}, names no split; expected a name such as bal_train")
        clips = _read_clips(stream, self._parser, reject)
        yield Part(split, name, clips, AUDIOSET_DIM, np.dtype(np.uint8), self._description)


def _read_clips(stream: Readable, parse: Parser, reject: Reject) -> Iterator[tuple[int, Clip]]:
    try:
        for record, payload in read_payloads(stream, reject):
            try:
                clip = parse(payload)
            except BadRecord as finding:
                reject(record, str(finding))
            else:
                yield record, clip
    except tarfile.TarError as error:
        reject(None, f"the archive ends within it ({error})")


class _Counted:
    """A stream that tells how much of it was read."""

    def __init__(self, stream: Readable, advance: Advance) -> None:
        self._stream = stream
        self._advance = advance

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._advance(len(data))
        return data


class _StrictHeader(tarfile.TarInfo):
    """tarfile takes a damaged header for the end of the archive; here only the mark of the end is the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _StrictHeader:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged at byte {archive.offset:,}: {error}") from error


def _stem(name: str) -> str:
    """Return a file's name up to its first dot."""
    return name.split(".")[0]
