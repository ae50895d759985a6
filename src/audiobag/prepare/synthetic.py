"""The embedded data set: generated clips, as published records.

They go through the same preparation as AudioSet's own, so that a fresh clone runs the whole way without a
download. What the clips are is `synthetic_model`'s affair; here is how many, and how they are a source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from audiobag.prepare.records import Clip, frame_record, serialise
from audiobag.prepare.shards import Kept, Shard, ShardPiece
from audiobag.prepare.source import Advance, Part, Piece, Rejects
from audiobag.prepare.synthetic_model import CHUNK_CLIPS, Chunk, make_chunk
from audiobag.values import check_choice

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

SYNTHETIC: Final = "synthetic"
_SEED = 0
# Of a record, about; for the progress bar.
_RECORD_BYTES = 1_400


class Synthetic:
    """The embedded data set.

    Args:
        size: one of `SIZES`.

    Raises:
        UserError: there is no such size.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, size: str = "small") -> None:
        check_choice("size", size, SIZES)
        self._clips = SIZES[size]
        self.fingerprint = hashlib.sha256(f"{SYNTHETIC} {size} {GENERATOR_VERSION}".encode()).hexdigest()
        self.size = sum(self._clips.values()) * _RECORD_BYTES

    def pieces(self, advance: Advance) -> Iterator[Piece]:
        """Yield a piece for each chunk of at most 1,054 clips, generated where it is read."""
        for split, clips in self._clips.items():
            for chunk, first in enumerate(range(0, clips, CHUNK_CLIPS)):
                yield _GeneratedPiece(split, chunk, min(clips - first, CHUNK_CLIPS))


@dataclass(frozen=True, slots=True)
class _GeneratedPiece:
    """The first `clips` clips of a chunk of a split."""

    split: str
    chunk: int
    clips: int
    portable: ClassVar[bool] = True

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield one part, read from a shard in memory."""
        clips = _clips(make_chunk(_SEED, self.split, self.chunk), self.clips)
        data = b"".join(frame_record(serialise(clip)) for clip in clips)
        shard = Shard(self.split, f"{self.split}/{self.chunk:04d}.tfrecord", Kept(data))
        yield from ShardPiece((shard,), SYNTHETIC, labelled=True).parts(rejects, advance)
        advance(self.clips * _RECORD_BYTES)


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
