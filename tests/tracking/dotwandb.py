"""Reader of .wandb files: W&B's messages in LevelDB's log format."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK = 32 * 1024
_HEAD = struct.Struct("<IHB")  # checksum, length, type
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class Tracked:
    """Content of the file of one start of a run.

    Attributes:
        run: the first message.
        config: at the end.
        history: names and values for each logged step.
        summary: at the end.
        artifacts: in the order of logging.
        preempting: whether the run was marked as preempted.
        exit_code: None if the run was never finished.
        folder: folder of the file; media are below `files`.
    """

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    preempting: bool = False
    exit_code: int | None = None

    def curve(self, name: str) -> dict[int, Any]:
        return {row["trainer/global_step"]: row[name] for row in self.history if name in row}

    def table(self, name: str) -> dict[str, Any]:
        (found,) = self.curve(name).values()
        content = json.loads((self.folder / "files" / found["path"]).read_text())
        assert isinstance(content, dict)
        return content

    def images(self, name: str) -> dict[int, Path]:
        return {step: self.folder / "files" / found["path"] for step, found in self.curve(name).items()}


def starts(run: Path) -> list[Tracked]:
    """Return the content of each offline start of a run, in order.

    W&B's process closes the file shortly after the run is finished, so this waits for it.
    """
    paths = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    deadline = time.monotonic() + 10
    while any(read(path).exit_code is None for path in paths) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [read(path) for path in paths]


def read(path: Path) -> Tracked:
    """Return the content of a .wandb file."""
    tracked = Tracked(path.parent)
    for record in records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            tracked.run = record.run
            _update(tracked.config, record.run.config.update)
        elif kind == "config":
            _update(tracked.config, record.config.update)
        elif kind == "history":
            row: dict[str, Any] = {}
            _update(row, record.history.item)
            tracked.history.append(row)
        elif kind == "summary":
            _update(tracked.summary, record.summary.update)
        elif kind == "artifact":
            tracked.artifacts.append(record.artifact)
        elif kind == "preempting":
            tracked.preempting = True
        elif kind == "exit":
            tracked.exit_code = record.exit.exit_code
    return tracked


def records(content: bytes) -> Iterator[Any]:
    """Yield the messages up to an incomplete one, which a killed process leaves."""
    assert content[:4] in (b":W&B", b"")
    at, pieces = 7, b""
    while at + _HEAD.size <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD.size:  # a head is never split between two blocks
            at += left
            continue
        checksum, length, kind = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        piece = content[at : at + length]
        at += length
        if len(piece) < length:
            return
        assert checksum == zlib.crc32(bytes([kind]) + piece)
        pieces = piece if kind in (_FULL, _FIRST) else pieces + piece
        if kind in (_FULL, _LAST):
            yield Record.FromString(pieces)


def _update(into: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *parents, last = item.nested_key or [item.key]
        inner = into
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = json.loads(item.value_json)
