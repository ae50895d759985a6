"""AudioSet's published records: TFRecord framing around `tensorflow.SequenceExample` messages.

A record is `uint64 length`, `uint32 crc(length)`, payload, `uint32 crc(payload)`, little-endian, where crc is the
masked CRC32C. The context of a payload holds `video_id`, `start_time_seconds`, `end_time_seconds` and `labels`; its
feature list `audio_embedding` holds one feature of D bytes per frame. Synthetic records have a second feature list,
`witness`: for each label, in the order of the labels, the frames that show it. This module reads the framing and
writes records; `parse` reads payloads.
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

from audiobag.prepare.inflate import Inflated, Readable, looks_compressed
from audiobag.prepare.messages import SequenceExample
from audiobag.utils.files import atomic

MAX_RECORD = 64 * 2**20
"""Maximum number of bytes. A longer record is treated as damage; those of AudioSet have 1.5 kB."""

_BLOCK = 2**18
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")

Reject = Callable[[int | None, str], None]
"""Called with the number of a bad record (from 1; None for the whole shard) and the reason."""


class Clip(NamedTuple):
    """A labelled bag, as read from a source or passed to `write_shard`.

    Attributes:
        video_id: unique within its split.
        frames: [n, D], n >= 1, in the source's dtype (uint8 for AudioSet).
        label_ids: the classes present, in any order.
        start_seconds: start of the clip in its video; NaN if unknown.
        end_seconds: end of the clip in its video; NaN if unknown.
        witness: for each of `label_ids`, the frames (from 0 in this bag) that show it; None if unknown.
    """

    video_id: bytes
    frames: NDArray[Any]
    label_ids: Sequence[int]
    start_seconds: float
    end_seconds: float
    witness: Sequence[Sequence[int] | NDArray[np.integer[Any]]] | None = None


def masked_crc(data: bytes) -> int:
    """Return the CRC32C of `data`, rotated and shifted as the TFRecord format requires."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame_record(payload: bytes) -> bytes:
    """Return `payload` with its length and checksums, as stored in a shard."""
    length = struct.pack("<Q", len(payload))
    checksums = (struct.pack("<I", masked_crc(data)) for data in (length, payload))
    return length + next(checksums) + payload + next(checksums)


def serialise(clip: Clip) -> bytes:
    """Return the payload of a record, a serialised SequenceExample; equal clips give equal bytes."""
    example = SequenceExample()
    context = example.context.feature
    context["video_id"].bytes_list.value.append(clip.video_id)
    context["start_time_seconds"].float_list.value.append(clip.start_seconds)
    context["end_time_seconds"].float_list.value.append(clip.end_seconds)
    # An empty list means that the clip has no labels, a missing one that they are unknown.
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
    """Write `clips` as one `.tfrecord` file, atomically; create its folder if needed."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        for clip in clips:
            file.write(frame_record(serialise(clip)))


def read_payloads(stream: Readable, reject: Reject) -> Iterator[tuple[int, bytes]]:
    """Yield (record number from 1, payload) of a plain or compressed shard; both checksums are checked.

    A record whose payload has a wrong checksum is rejected alone. Damage to the framing (a wrong checksum of a
    length, a length above `MAX_RECORD`, a truncated record) ends the shard, because the start of the next record
    is unknown. Memory is bounded by `MAX_RECORD`, even if a length is false.
    """
    record, start, block = 1, 0, b""
    try:
        block = stream.read(_BLOCK)
        # A plain shard may start like a compressed one, but then the checksum of its first length is right.
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
                    return reject(record, f"truncated: {len(block)} bytes of the record's header of 12 bytes")
            length = _checked_length(block[start : start + 12])
            if length is None:
                return reject(record, "the checksum of the record's length is wrong")
            if length > MAX_RECORD:
                return reject(record, f"the record claims {length:,} bytes, expected at most {MAX_RECORD:,}")
            end = start + length + 16
            if end > len(block):
                block, start, end = _extend(stream, block[start:], length + 16), 0, length + 16
                if end > len(block):
                    return reject(record, f"truncated: {len(block):,} bytes of a record of {end:,}")
            payload = block[start + 12 : end - 4]
            if masked_crc(payload) == _CRC.unpack_from(block, end - 4)[0]:
                yield record, payload
            else:
                reject(record, "the checksum of the record's data is wrong")
            record, start = record + 1, end
    except (OSError, EOFError, zlib.error) as error:
        reject(record, f"the record cannot be read ({error})")


@lru_cache(maxsize=4096)
def _checked_length(header: bytes) -> int | None:
    """Return the length in a 12-byte record header, or None if its checksum is wrong; cached because lengths repeat."""
    if len(header) < 12:
        return None
    length, crc = _HEADER.unpack(header)
    return int(length) if masked_crc(header[:8]) == crc else None


def _extend(stream: Readable, block: bytes, size: int) -> bytes:
    """Return `block` extended from the stream to at least `size` bytes, or fewer if the stream ends.

    The stream is read in blocks, so a false length does not allocate more than the file holds.
    """
    pieces, have = [block], len(block)
    while have < size and (piece := stream.read(_BLOCK)):
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)
