"""Collecting the clips of a split and writing them as a store, sorted by video id, in bounded memory.

Frames are kept in a raw file on disk, everything else in compact arrays. After the last clip, the frames are gathered
from a memory map of the raw file, a block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import Columns, write_store
from audiobag.prepare.rows import Rows
from audiobag.prepare.source import Advance, Part, Rejects

BLOCK_BYTES = 2**24
_BUFFER = 2**20


class Split:
    """The clips of one split.

    Args:
        first: a part of the split, whose dimension, dtype and description hold for all parts; `add` it as well.
        raw: file for the frames, in the order in which the clips come.
    """

    def __init__(self, first: Part, raw: Path) -> None:
        self.name = first.split
        self._dim, self._dtype, self._description = first.dim, first.dtype, first.description
        self._raw = raw
        self._rows = Rows()
        # (name, number of clips) of each part
        self._files: list[tuple[str, int]] = []
        self._order = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, part: Part, rejects: Rejects) -> None:
        """Read the clips of a part.

        Raises:
            ValueError: a record is bad, and bad records stop the run.
        """
        before = len(self._rows)
        with self._raw.open("ab", buffering=_BUFFER) as file:
            self._rows.extend(part.clips, file, partial(rejects.add, part.split, part.file))
        self._files.append((part.file, len(self._rows) - before))

    @property
    def frame_bytes(self) -> int:
        """Total size of the frames: what `write` reports to `advance`, unless `sort` removes repeated ids."""
        return sum(self._rows.counts["frame"]) * self._dim * self._dtype.itemsize

    def sort(self, rejects: Rejects) -> None:
        """Sort the clips by id; of clips with the same id, all but the first are rejected."""
        self._order = self._find_order(self._rows.video_ids(), rejects)

    def write(self, path: Path, attributes: dict[str, Any], advance: Advance) -> None:
        """Write the sorted clips as a store."""
        write_store(
            path,
            frames=self._frames(advance),
            dim=self._dim,
            dtype=self._dtype,
            columns=self._columns(),
            description=self._description,
            attributes=attributes,
        )

    def _frames(self, advance: Advance) -> Iterator[NDArray[Any]]:
        """Yield the frames of the sorted clips in blocks of bounded size."""
        raw = np.memmap(self._raw, self._dtype, "r").reshape(-1, self._dim)
        offsets = _offsets(self._rows.counts["frame"])
        ends = np.cumsum(np.diff(offsets)[self._order])
        per_block = max(1, BLOCK_BYTES // (self._dim * self._dtype.itemsize))
        done = 0
        while done < len(ends):
            start = ends[done - 1] if done else 0
            last = max(done + 1, int(np.searchsorted(ends, start + per_block, side="right")))
            block = raw[_runs(offsets, self._order[done:last])[0]]
            yield block
            advance(block.nbytes)
            done = last

    def _find_order(self, ids: NDArray[np.character], rejects: Rejects) -> NDArray[np.int64]:
        order: NDArray[np.int64] = np.argsort(ids, kind="stable")
        if not np.any(ids[order[1:]] == ids[order[:-1]]):
            return order
        # Sort repeated ids by file name, so that the clip that is kept does not depend on the order in an archive.
        names, clips = zip(*self._files, strict=True)
        _, rank = np.unique([name.rsplit("/", 1)[-1] for name in names], return_inverse=True)
        files = np.repeat(np.arange(len(names)), clips)
        records = self._rows.records
        order = np.lexsort((np.asarray(records), rank[files], ids))
        repeated = np.concatenate([[False], ids[order[1:]] == ids[order[:-1]]])
        for position in np.flatnonzero(repeated):
            clip, earlier = int(order[position]), int(order[position - 1])
            finding = f"repeated video id {ids[clip].decode(errors='replace')}"
            finding += f", which {names[files[earlier]]}, record {records[earlier]} has as well"
            rejects.add(self.name, names[files[clip]], records[clip], finding)
        kept: NDArray[np.int64] = order[~repeated]
        return kept

    def _columns(self) -> Columns:
        order, rows = self._order, self._rows
        labels, label_offsets = _runs(_offsets(rows.counts["label"]), order)
        narrow = len(self._description.class_names) - 1 <= np.iinfo(np.int16).max
        columns = Columns(
            offsets=_offsets(np.asarray(rows.counts["frame"])[order]),
            label_ids=np.asarray(rows.labels)[labels].astype(np.int16 if narrow else np.int32),
            label_offsets=label_offsets,
            video_id=rows.video_ids()[order],
            start_seconds=np.asarray(rows.starts)[order],
            end_seconds=np.asarray(rows.ends)[order],
        )
        if not rows.witnessed:
            return columns
        shown_by, witness_offsets = _runs(_offsets(rows.counts["witness"]), labels)
        witness_frames = np.asarray(rows.witness)[shown_by]
        return replace(columns, witness_frames=witness_frames, witness_offsets=witness_offsets)


def _offsets(counts: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    """Return [N + 1], the start of each of N runs of these lengths, and the end of the last."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _runs(offsets: NDArray[np.int64], order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the items of runs, taken in this order, and the new offsets of these runs."""
    new = _offsets(offsets[order + 1] - offsets[order])
    positions = np.arange(new[-1]) + np.repeat(offsets[order] - new[:-1], np.diff(new))
    return positions, new
