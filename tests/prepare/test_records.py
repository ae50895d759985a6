from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import tfrecord

from audiobag.prepare.parse import Parser
from audiobag.prepare.records import MAX_RECORD, Clip, frame_record, read_payloads, serialise, write_shard

CLIP = Clip(b"abcdefghijk", np.arange(256, dtype=np.uint8).reshape(2, 128), (300, 7), 30.0, 40.0)
RECORD = frame_record(serialise(CLIP))


def read(data: bytes) -> tuple[list[tuple[int, bytes]], list[tuple[int | None, str]]]:
    rejected: list[tuple[int | None, str]] = []
    return list(read_payloads(io.BytesIO(data), lambda *bad: rejected.append(bad))), rejected


def test_framing_follows_the_tfrecord_format() -> None:
    def masked(data: bytes) -> int:  # As in TensorFlow's hash/crc32c.h.
        crc = google_crc32c.value(data)
        return (((crc >> 15) | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8) & 0xFFFFFFFF

    length = struct.pack("<Q", 5)
    expected = length + struct.pack("<I", masked(length)) + b"hello" + struct.pack("<I", masked(b"hello"))
    assert frame_record(b"hello") == expected


@pytest.mark.parametrize("witness", [None, ([0, 1], [])])
def test_a_written_shard_reads_back(tmp_path: Path, witness: object) -> None:
    clip = CLIP._replace(witness=witness)
    write_shard(tmp_path / "deep" / "a.tfrecord", [clip, clip._replace(label_ids=(), witness=witness and [])])
    payloads, rejected = read((tmp_path / "deep" / "a.tfrecord").read_bytes())
    first, second = (Parser(128, 527)(payload) for _, payload in payloads)
    assert rejected == []
    assert [record for record, _ in payloads] == [1, 2]
    np.testing.assert_array_equal(first.frames, clip.frames)
    assert (first.video_id, first.start_seconds, first.end_seconds) == (b"abcdefghijk", 30.0, 40.0)
    assert first.label_ids == (7, 300)
    assert first.witness == (None if witness is None else [[], [0, 1]])
    assert second.label_ids == ()


def test_the_tfrecord_package_reads_a_written_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tfrecord", [CLIP, CLIP])
    loader = tfrecord.tfrecord_loader(
        str(tmp_path / "a.tfrecord"),
        None,
        {"video_id": "byte", "labels": "int", "start_time_seconds": "float", "end_time_seconds": "float"},
        sequence_description={"audio_embedding": "byte"},
    )
    for context, lists in loader:
        assert context["video_id"] == CLIP.video_id
        assert (context["start_time_seconds"], context["end_time_seconds"]) == (30.0, 40.0)
        np.testing.assert_array_equal(context["labels"], CLIP.label_ids)
        assert b"".join(lists["audio_embedding"]) == CLIP.frames.tobytes()


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, lambda data: zlib.compress(data, 0)])
def test_compressed_shards_are_decompressed(compress) -> None:
    payloads, rejected = read(compress(RECORD * 3))
    assert [payload for _, payload in payloads] == [serialise(CLIP)] * 3
    assert rejected == []


def test_gzip_with_several_members_and_padding_is_read() -> None:
    payloads, rejected = read(gzip.compress(RECORD[:100]) + gzip.compress(RECORD[100:]) + bytes(1000))
    assert len(payloads) == 1
    assert rejected == []


def test_a_plain_shard_that_starts_like_gzip_is_read() -> None:
    payload = bytes(0x088B1F)
    data = frame_record(payload)
    assert data[:3] == b"\x1f\x8b\x08"
    assert read(data) == ([(1, payload)], [])


def test_records_longer_than_a_block_are_read() -> None:
    payloads = [bytes([i]) * 2**20 for i in range(3)]
    found, rejected = read(b"".join(map(frame_record, payloads)))
    assert [payload for _, payload in found] == payloads
    assert rejected == []


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress])
def test_every_truncation_but_between_records_is_reported(compress) -> None:
    short = frame_record(b"some data")
    whole = compress(short * 2)
    for cut in range(len(whole)):
        payloads, rejected = read(whole[:cut])
        assert len(rejected) == 1 or (compress is bytes and cut == len(short)), cut
        assert all(payload == b"some data" for _, payload in payloads)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress])
def test_every_changed_byte_is_reported(compress) -> None:
    whole = compress(frame_record(b"some data") * 2)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x20
        payloads, rejected = read(bytes(changed))
        # Some bits of compressed streams do not affect the content: times, flags, padding.
        assert rejected or (compress is not bytes and len(payloads) == 2), place
        assert all(payload == b"some data" for _, payload in payloads)


class SmallReads(io.BytesIO):
    """A stream that fails on large reads."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= 2**20
        return super().read(size)


@pytest.mark.parametrize(
    ("length", "finding"), [(2**60, "claims 1,152,921,504,606,846,976"), (MAX_RECORD, "truncated")]
)
def test_a_false_length_allocates_no_memory(length: int, finding: str) -> None:
    header = struct.pack("<Q", length)
    crc = frame_record(header)[-4:]
    rejected: list[tuple[int | None, str]] = []
    stream = SmallReads(RECORD + header + crc + b"abc")
    payloads = list(read_payloads(stream, lambda *bad: rejected.append(bad)))
    assert [record for record, _ in payloads] == [1]
    assert rejected[0][0] == 2
    assert finding in rejected[0][1]
