"""The embedded data set: generated clips, written as published records.

They go through the same preparation as AudioSet's own, so that a fresh clone runs the whole way without a
download. What the clips are is `synthetic_model`'s affair; here is how many, and where they go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from audiobag.errors import UserError
from audiobag.prepare.records import Clip, write_shard
from audiobag.prepare.synthetic_model import CHUNK_CLIPS, Chunk, make_chunk

GENERATOR_VERSION = 1
"""Raised with every change to what is generated: stores of another version are made anew."""

SIZES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "tiny": {"bal_train": 600, "eval": 300},
        "small": {"bal_train": 7 * CHUNK_CLIPS, "eval": 3 * CHUNK_CLIPS},
        "full": {"bal_train": 22_160, "eval": 20_371, "unbal_train": 2_041_789},
    }
)
"""Clips of each split; `full` has as many as AudioSet. A smaller size is the beginning of a larger one."""

_SEED = 0


def write_records(folder: Path, size: str = "small") -> None:
    """Write `<folder>/<split>/<chunk>.tfrecord`, one shard for each chunk of at most 1,054 clips.

    Args:
        folder: made where missing.
        size: one of `SIZES`.

    Raises:
        UserError: there is no such size.
    """
    if size not in SIZES:
        raise UserError(f"size is {size!r}, expected one of {', '.join(SIZES)}")
    for split, clips in SIZES[size].items():
        for chunk, first in enumerate(range(0, clips, CHUNK_CLIPS)):
            shard = folder / split / f"{chunk:04d}.tfrecord"
            write_shard(shard, _clips(make_chunk(_SEED, split, chunk), min(clips - first, CHUNK_CLIPS)))


def _clips(chunk: Chunk, count: int) -> Iterator[Clip]:
    """Yield the first `count` clips of a chunk."""
    ids, lengths, starts = chunk.video_id.tolist(), chunk.lengths.tolist(), chunk.start_seconds.tolist()
    labels, label_at = chunk.label_ids.tolist(), chunk.label_offsets.tolist()
    witness, witness_at = chunk.witness_frames.tolist(), chunk.witness_offsets.tolist()
    for i in range(count):
        mine = range(label_at[i], label_at[i + 1])
        yield Clip(
            video_id=ids[i],
            frames=chunk.frames[i, : lengths[i]],
            label_ids=labels[mine.start : mine.stop],
            start_seconds=float(starts[i]),
            end_seconds=float(starts[i] + lengths[i]),
            witness=[witness[witness_at[j] : witness_at[j + 1]] for j in mine],
        )
