"""Tar archives of published shards, read as a stream."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from audiobag.prepare.inflate import Inflated, Readable
from audiobag.prepare.shards import Counted, ShardReader, is_shard
from audiobag.prepare.source import Advance, Part, Rejects, fingerprint_files
from audiobag.utils.errors import InputError

# tarfile copies the unread rest of a block at every read, so small blocks are faster.
_BLOCK = 2**15


class ShardArchive:
    """A `.tar` or `.tar.gz` of shards, read once from beginning to end; nothing is unpacked to disk.

    A shard belongs to the split that its folder in the archive names. Names in the archive are never used as paths.

    Args:
        path: the archive.
        source: name of the source, recorded in the stores.
        labelled: whether every clip must have labels.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, path: Path, source: str, labelled: bool = True) -> None:
        self._path = path
        self._reader = ShardReader(source, labelled)
        self.fingerprint, self.size = fingerprint_files(path.resolve().parent, [path.name])

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each shard."""
        shards = 0
        try:
            with self._path.open("rb", buffering=0) as file:
                stream: Readable = Counted(file, advance)
                compressed = file.read(2) == b"\x1f\x8b"  # gzip
                file.seek(0)
                if compressed:
                    stream = Inflated(stream)
                fileobj: Any = stream
                with tarfile.open(fileobj=fileobj, mode="r|", bufsize=_BLOCK, tarinfo=_StrictHeader) as archive:
                    while member := archive.next():
                        archive.members.clear()  # type: ignore[attr-defined]  # Keep no list of all members.
                        if is_shard(member.name) and not member.isdir():
                            shards += 1
                            yield from self._part(archive, member, rejects)
                while stream.read(_BLOCK):  # The checksum of the compression stands at the very end.
                    pass
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            return rejects.add("", str(self._path), None, f"the archive cannot be read to its end ({error})")
        if not shards:
            raise InputError(
                f"{self._path} holds no *.tfrecord file; expected an archive like AudioSet's features.tar.gz"
            )

    def _part(self, archive: tarfile.TarFile, member: tarfile.TarInfo, rejects: Rejects) -> Iterator[Part]:
        split = PurePosixPath(member.name).parent.name or self._path.name.split(".")[0]
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            return rejects.add(split, member.name, None, "the archive holds a link, expected a file")
        yield from self._reader.parts(split, member.name, content, rejects)


class _StrictHeader(tarfile.TarInfo):
    """A header that reports damage, which tarfile takes for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _StrictHeader:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged at byte {archive.offset:,}: {error}") from error
