"""The synthetic data set: generated clips in the form of published records.

They are prepared in the same way as AudioSet, so everything can be tried without a download. This module defines how
many clips there are; `synthetic_model` generates them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from audiobag.prepare.records import Clip, frame_record, serialise
from audiobag.prepare.shards import ShardReader
from audiobag.prepare.source import Advance, Part, Rejects
from audiobag.prepare.synthetic_model import CHUNK_CLIPS, Chunk, make_chunk
from audiobag.utils.values import check_choice

GENERATOR_VERSION = 1
"""Increase it with every change to the generated clips: stores of another version are prepared again."""

SIZES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "tiny": {"bal_train": 600, "eval": 300},
        "small": {"bal_train": 7 * CHUNK_CLIPS, "eval": 3 * CHUNK_CLIPS},
        "full": {"bal_train": 22_160, "eval": 20_371, "unbal_train": 2_041_789},
    }
)
"""Number of clips of each split; `full` has as many as AudioSet. A smaller size is a prefix of a larger one."""

SYNTHETIC: Final = "synthetic"
_SEED = 0
# Approximate size of a record, for the progress bar.
_RECORD_BYTES = 1_400


class Synthetic:
    """The synthetic data set.

    Args:
        size: one of `SIZES`.

    Raises:
        ValueError: the size is unknown.
    """

    paths: tuple[Path, ...] = ()

    def __init__(self, size: str = "small") -> None:
        check_choice("size", size, SIZES)
        self._clips = SIZES[size]
        self._reader = ShardReader(SYNTHETIC)
        self.fingerprint = hashlib.sha256(f"{SYNTHETIC} {size} {GENERATOR_VERSION}".encode()).hexdigest()
        self.size = sum(self._clips.values()) * _RECORD_BYTES

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part, in the form of a shard in memory, for each chunk of at most 1,054 clips."""
        for split, total in self._clips.items():
            for number, first in enumerate(range(0, total, CHUNK_CLIPS)):
                count = min(total - first, CHUNK_CLIPS)
                records = map(frame_record, map(serialise, _clips(make_chunk(_SEED, split, number), count)))
                shard = io.BytesIO(b"".join(records))
                yield from self._reader.parts(split, f"{split}/{number:04d}.tfrecord", shard, rejects)
                advance(count * _RECORD_BYTES)


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
