"""Sources of published records: a folder of shards, one shard, or a tar archive of them, read as a stream."""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

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
    Piece,
    Rejects,
    audioset_description,
    fingerprint_files,
)

_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
# tarfile copies what is left of a block at every read.
_TAR_BLOCK = 2**15
_PIECE_BYTES = 2**21
# Of an archive, in memory.
_MOST_KEPT = 2**24


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
        self.fingerprint, self._sizes = fingerprint_files(self._root, (name for _, name in self._shards))
        self.size = sum(self._sizes)

    def pieces(self, advance: Advance) -> Iterator[Piece]:
        """Yield a few shards at a time; a shard belongs to the split that its folder names."""
        # Path objects would cost as much as reading five records does.
        named = (Shard(split, name, f"{self._root}/{name}") for split, name in self._shards)
        yield from _in_pieces(zip(named, self._sizes, strict=True), self._source, self._labelled)


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
        self.fingerprint, (self.size,) = fingerprint_files(path.resolve().parent, [path.name])

    def pieces(self, advance: Advance) -> Iterator[Piece]:
        """Yield a few shards at a time; names in the archive name splits, and are never used as paths."""
        yield from _in_pieces(self._read(advance), self._source, self._labelled)

    def _read(self, advance: Advance) -> Iterator[tuple[Shard, int]]:
        """Yield each shard and its size."""
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
                        yield Shard(split, member.name, _content(content, member.size)), member.size
                while stream.read(_TAR_BLOCK):  # To the end, where the checksum of the compression stands.
                    pass
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            finding = BadRecord(f"the archive cannot be read to its end ({error})")
            yield Shard("", str(self._path), finding), 0
            return
        if not shards:
            raise UserError(f"{self._path} holds no *.tfrecord file; expected AudioSet's features.tar.gz or its like")


class Shard(NamedTuple):
    """One shard.

    Attributes:
        split: the name of its folder.
        name: for people.
        content: its path, its bytes, or what is wrong with it.
    """

    split: str
    name: str
    content: str | Readable | BadRecord

    @property
    def live(self) -> bool:
        """Whether it is a stream, to be read here and now."""
        return not isinstance(self.content, str | Kept | BadRecord)


class Kept:
    """A shard in memory.

    Args:
        data: its bytes.
        error: what reading beyond them raises.
    """

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self._data, self._error = data, error
        self._place = 0

    @classmethod
    def from_stream(cls, stream: Readable) -> Kept:
        """Read a stream to its end, or to an error."""
        pieces = []
        try:
            while piece := stream.read(_TAR_BLOCK):
                pieces.append(piece)
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            return cls(b"".join(pieces), error)
        return cls(b"".join(pieces))

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        data = self._data[self._place : self._place + size]
        self._place += len(data)
        if self._error is not None and not data:
            raise self._error
        return data


def _content(stream: Readable | None, size: int) -> Readable | BadRecord:
    """Return what an archive holds at a shard's place: in memory, unless it is large."""
    if stream is None:
        return BadRecord("the archive holds a link, expected a file")
    return Kept.from_stream(stream) if size <= _MOST_KEPT else stream


@dataclass(frozen=True, slots=True)
class ShardPiece:
    """Some shards.

    Attributes:
        shards: these.
        source: what the stores are to say of where they come from.
        labelled: whether there must be labels.
    """

    shards: tuple[Shard, ...]
    source: str
    labelled: bool

    @property
    def portable(self) -> bool:
        """Whether no shard is a stream."""
        return not any(shard.live for shard in self.shards)

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each shard."""
        for split, name, content in self.shards:
            if isinstance(content, BadRecord):
                rejects.add(split, name, None, str(content))
            elif not isinstance(content, str):
                yield from self._part(split, name, content, rejects)
            else:
                try:
                    with open(content, "rb", buffering=0) as file:  # noqa: PTH123 (see ShardFolder)
                        yield from self._part(split, name, _Counted(file, advance), rejects)
                except OSError as error:
                    rejects.add(split, name, None, f"the file cannot be read ({error.strerror})")

    def _part(self, split: str, name: str, stream: Readable, rejects: Rejects) -> Iterator[Part]:
        def reject(record: int | None, finding: str) -> None:
            rejects.add(split, name, record, finding)

        if not _SPLIT_NAME.fullmatch(split):
            return reject(None, f"its folder, {split!r}, names no split; expected a name such as bal_train")
        description = audioset_description(self.source)
        parse = _parser(len(description.class_names), self.labelled)
        yield Part(split, name, _read_clips(stream, parse, reject), AUDIOSET_DIM, np.dtype(np.uint8), description)


def _in_pieces(shards: Iterable[tuple[Shard, int]], source: str, labelled: bool) -> Iterator[ShardPiece]:
    """Yield pieces of some MiB, a stream alone."""
    some: list[Shard] = []
    held = 0
    for shard, size in shards:
        if some and (shard.live or held + size > _PIECE_BYTES):
            yield ShardPiece(tuple(some), source, labelled)
            some, held = [], 0
        if shard.live:
            yield ShardPiece((shard,), source, labelled)
        else:
            some.append(shard)
            held += size
    if some:
        yield ShardPiece(tuple(some), source, labelled)


@cache
def _parser(classes: int, labelled: bool) -> Parser:
    """Return the process's parser, which learns from record to record."""
    return Parser(AUDIOSET_DIM, classes, labelled)


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
