"""AudioSet's published records: TFRecord framing around `tensorflow.SequenceExample` messages.

A record is `uint64 length`, `uint32 crc(length)`, payload, `uint32 crc(payload)`, little-endian, where crc is
the masked CRC32C. Its context holds `video_id`, `start_time_seconds`, `end_time_seconds` and `labels`; its
feature list `audio_embedding` one feature of D bytes per frame. Ours may hold one list more, `witness`: for
each label, in their order, the frames that show it. This module has the framing and the writing; `parse`
reads what is in a payload.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from audiobag.files import atomic
from audiobag.prepare.inflate import Inflated, Readable, looks_compressed
from audiobag.prepare.messages import SequenceExample

MAX_RECORD = 64 * 2**20
"""Bytes. A longer record is taken for damage: AudioSet's have 1.5 kB."""

_BLOCK = 2**18
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")

Reject = Callable[[int | None, str], None]
"""Takes the number of a bad record (from 1; None for the whole shard) and what was found."""


class Clip(NamedTuple):
    """One bag, as readers hand it on and `write_shard` takes it.

    Attributes:
        video_id: unique within its split.
        frames: [n, D], n >= 1, in the source's dtype (uint8 for AudioSet).
        label_ids: the classes present, in any order.
        start_seconds: where the clip starts in its video; NaN where unknown.
        end_seconds: where it ends.
        witness: for each of `label_ids`, the frames (from 0 in this bag) that show it; None where unknown.
    """

    video_id: bytes
    frames: NDArray[Any]
    label_ids: Sequence[int]
    start_seconds: float
    end_seconds: float
    witness: Sequence[Sequence[int] | NDArray[np.integer[Any]]] | None = None


def masked_crc(data: bytes) -> int:
    """Return the CRC32C of `data`, rotated and shifted as TFRecord wants it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame_record(payload: bytes) -> bytes:
    """Return `payload` between its length and its checksums, as it stands in a shard."""
    length = struct.pack("<Q", len(payload))
    checksums = (struct.pack("<I", masked_crc(data)) for data in (length, payload))
    return length + next(checksums) + payload + next(checksums)


def serialise(clip: Clip) -> bytes:
    """Return the record's payload: a SequenceExample, the same bytes for the same clip."""
    example = SequenceExample()
    context = example.context.feature
    context["video_id"].bytes_list.value.append(clip.video_id)
    context["start_time_seconds"].float_list.value.append(clip.start_seconds)
    context["end_time_seconds"].float_list.value.append(clip.end_seconds)
    # Setting the list, even to nothing, says that the labels are known.
    context["labels"].int64_list.SetInParent()
    context["labels"].int64_list.value.extend(int(k) for k in clip.label_ids)
    lists = example.feature_lists.feature_list
    frames = lists["audio_embedding"].feature
    for frame in np.ascontiguousarray(clip.frames):
        frames.add().bytes_list.value.append(frame.tobytes())
    if clip.witness is not None:
        witness = lists["witness"].feature
        for shown_by in clip.witness:
            witness.add().int64_list.value.extend(int(t) for t in shown_by)
    payload: bytes = example.SerializeToString(deterministic=True)
    return payload


def write_shard(path: Path, clips: Iterable[Clip]) -> None:
    """Write `clips` as one `.tfrecord` file, atomically; the folder is made where missing."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        for clip in clips:
            file.write(frame_record(serialise(clip)))


def read_payloads(stream: Readable, reject: Reject) -> Iterator[tuple[int, bytes]]:
    """Yield (record number from 1, payload) of a shard, plain or compressed, with both checksums checked.

    A record whose data fail their checksum is rejected alone; damage to the framing itself (a wrong checksum
    of a length, a length beyond `MAX_RECORD`, an early end) ends the shard, for nothing says where the next
    record starts. Memory is bounded by `MAX_RECORD`, whatever a length claims.
    """
    record, start, block = 1, 0, b""
    try:
        block = stream.read(_BLOCK)
        # A plain shard may happen to start like a compressed one, but not with a right checksum as well.
        if _checked_length(block[:12]) is None and looks_compressed(block):
            stream = Inflated(stream, block)
            block = stream.read(_BLOCK)
        if not block:
            reject(None, "the shard is empty")
        while True:
            if len(block) - start < 12:
                block, start = _extend(stream, block[start:], 12), 0
                if not block:
                    return
                if len(block) < 12:
                    return reject(record, f"truncated: {len(block)} bytes of the record's 12-byte header")
            length = _checked_length(block[start : start + 12])
            if length is None:
                return reject(record, "wrong CRC of the record's length")
            if length > MAX_RECORD:
                return reject(record, f"the record claims {length:,} bytes, expected {MAX_RECORD:,} at most")
            end = start + length + 16
            if end > len(block):
                block, start, end = _extend(stream, block[start:], length + 16), 0, length + 16
                if end > len(block):
                    return reject(record, f"truncated: {len(block):,} bytes of a record of {end:,}")
            payload = block[start + 12 : end - 4]
            if masked_crc(payload) == _CRC.unpack_from(block, end - 4)[0]:
                yield record, payload
            else:
                reject(record, "wrong CRC of the record's data")
            record, start = record + 1, end
    except (OSError, EOFError, zlib.error) as error:
        reject(record, f"cannot be read ({error})")


@lru_cache(maxsize=4096)
def _checked_length(header: bytes) -> int | None:
    """Return the length in a 12-byte record header, None where its checksum is wrong (clips repeat lengths)."""
    if len(header) < 12:
        return None
    length, crc = _HEADER.unpack(header)
    return int(length) if masked_crc(header[:8]) == crc else None


def _extend(stream: Readable, block: bytes, size: int) -> bytes:
    """Return `block` lengthened from the stream to `size` bytes or more, or to less where the stream ends.

    It reads block by block, so that a false length allocates no more than the file really has.
    """
    pieces, have = [block], len(block)
    while have < size and (piece := stream.read(_BLOCK)):
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)
