"""Folders of published shards, and reading of a single shard."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np

from audiobag.prepare.inflate import Readable
from audiobag.prepare.parse import Parser
from audiobag.prepare.records import Clip, Reject, read_payloads
from audiobag.prepare.source import (
    AUDIOSET_DIM,
    Advance,
    BadRecord,
    Part,
    Rejects,
    audioset_description,
    check_times,
    fingerprint_files,
)
from audiobag.utils.errors import InputError

_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def is_shard(name: str) -> bool:
    """Return whether a file of this name is a shard; hidden files, such as macOS's `._x.tfrecord`, are not."""
    last = name.rpartition("/")[2]
    return ".tfrecord" in last and not last.startswith(".")


class ShardReader:
    """Reads shards of AudioSet's features.

    Args:
        source: name of the source, recorded in the stores.
        labelled: whether every clip must have labels.
    """

    def __init__(self, source: str, labelled: bool = True) -> None:
        self._description = audioset_description(source)
        # One parser for all shards: it remembers the layouts of the records that it has seen.
        self._parse = Parser(AUDIOSET_DIM, len(self._description.class_names), labelled)

    def parts(self, split: str, name: str, stream: Readable, rejects: Rejects) -> Iterator[Part]:
        """Yield the part that a shard is, or nothing if the split's name is invalid.

        Args:
            split: name of the shard's folder.
            name: name of the shard, for messages.
            stream: content of the shard.
            rejects: receives the bad records.
        """
        reject = partial(rejects.add, split, name)
        if not _SPLIT_NAME.fullmatch(split):
            return reject(None, f"its folder {split!r} is not a valid name of a split; expected a name like bal_train")
        clips = self._clips(stream, reject)
        yield Part(split, name, clips, AUDIOSET_DIM, np.dtype(np.uint8), self._description)

    def _clips(self, stream: Readable, reject: Reject) -> Iterator[tuple[int, Clip]]:
        try:
            for record, payload in read_payloads(stream, reject):
                try:
                    clip = self._parse(payload)
                except BadRecord as finding:
                    reject(record, str(finding))
                    continue
                try:
                    check_times(clip)
                except BadRecord as finding:
                    reject(record, f"video id {clip.video_id.decode(errors='replace')}: {finding}")
                else:
                    yield record, clip
        except tarfile.TarError as error:
            reject(None, f"the archive ends within it ({error})")


class ShardFolder:
    """The shards in a folder and its subfolders, sorted by path; or a single shard.

    A shard belongs to the split that its folder names.

    Args:
        path: the folder or the file.
        source: name of the source, recorded in the stores.
        labelled: whether every clip must have labels.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, path: Path, source: str, labelled: bool = True) -> None:
        self._root = path.resolve() if path.is_dir() else path.resolve().parent
        self._shards = _find_shards(self._root) if path.is_dir() else [(self._root.name, path.name)]
        if not self._shards:
            raise InputError(f"{path} holds no *.tfrecord file; expected AudioSet's folder of bal_train/ and eval/")
        self._reader = ShardReader(source, labelled)
        self.fingerprint, self.size = fingerprint_files(self._root, (name for _, name in self._shards))

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each shard."""
        for split, name in self._shards:
            try:
                # Path objects would take as long as five records, and some shards hold only five.
                with open(f"{self._root}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
                    yield from self._reader.parts(split, name, Counted(file, advance), rejects)
            except OSError as error:
                rejects.add(split, name, None, f"the file cannot be read ({error.strerror})")


def _find_shards(root: Path) -> list[tuple[str, str]]:
    """Return (name of its folder, path under `root`) of every shard, sorted by path."""
    found = []
    for folder, _, names in os.walk(root):
        split = Path(folder).name
        under = "" if folder == str(root) else folder[len(str(root).rstrip("/")) + 1 :] + "/"
        found += [(split, under + name) for name in names if is_shard(name)]
    return sorted(found, key=itemgetter(1))


class Counted:
    """A stream that reports the bytes read from it.

    Args:
        stream: the stream to read.
        advance: called with the number of bytes of each read.
    """

    def __init__(self, stream: Readable, advance: Advance) -> None:
        self._stream = stream
        self._advance = advance

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        data = self._stream.read(size)
        self._advance(len(data))
        return data
