"""Blocks of clips, as they come, to a store in the order of their video ids, in bounded memory.

Frames wait in raw files on disk, everything else in compact arrays; when the last clip has come, the frames are
gathered through memory maps, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.reading import Block
from audiobag.prepare.rows import MIXED, Rows
from audiobag.prepare.source import Advance, Rejects
from audiobag.store import Columns, write_store

_PIECE_BYTES = 2**24


class Split:
    """One split on its way.

    Args:
        first: the first block of it, whose dimension, dtype and description hold for all; to be added as well.
    """

    def __init__(self, first: Block) -> None:
        self.name = first.split
        self._dim, self._dtype, self._description = first.dim, first.dtype, first.description
        self._rows = Rows()
        self._files: list[str] = []
        self._raws: list[Path] = []
        # Of each block: its number of clips, the number of its raw file, and its first frame in there.
        self._blocks: list[tuple[int, int, int]] = []
        self._order = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, block: Block, rejects: Rejects) -> None:
        """Take a block's clips, all of them or, where the split is of another kind, none."""
        rows = block.rows
        if not rows:
            return
        if {self._rows.witnessed, rows.witnessed} == {True, False}:
            for record in rows.records:
                rejects.add(self.name, block.file, record, MIXED)
            return
        if block.raw not in self._raws:
            self._raws.append(block.raw)
        self._files.append(block.file)
        self._blocks.append((len(rows), self._raws.index(block.raw), block.first_frame))
        self._rows.extend(rows)

    @property
    def frame_bytes(self) -> int:
        """What `write` will tell `advance`, added up, unless `sort` found repeated ids."""
        return sum(self._rows.counts["frame"]) * self._dim * self._dtype.itemsize

    def sort(self, rejects: Rejects) -> None:
        """Put the clips in the order of their ids; of those with the same id all but the first are rejected."""
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
        """Yield the frames of the sorted clips, a bounded number at a time."""
        raws = [np.memmap(raw, self._dtype, "r").reshape(-1, self._dim) for raw in self._raws]
        raw_of, first = self._places()
        lengths = np.asarray(self._rows.counts["frame"])[self._order]
        raw_of, first = raw_of[self._order], first[self._order]
        per_piece = max(1, _PIECE_BYTES // (self._dim * self._dtype.itemsize))
        ends = np.cumsum(lengths)
        done = 0
        while done < len(ends):
            start = ends[done - 1] if done else 0
            last = max(done + 1, int(np.searchsorted(ends, start + per_piece, side="right")))
            some = slice(done, last)
            piece = _take(raws, raw_of[some], first[some], lengths[some])
            yield piece
            advance(piece.nbytes)
            done = last

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each clip [N], as they came, the number of its raw file and of its first frame in there."""
        clips, raws, first_frames = np.asarray(self._blocks).T
        before = _offsets(self._rows.counts["frame"])[:-1]
        block_starts = before[_offsets(clips)[:-1]]
        return np.repeat(raws, clips), before + np.repeat(first_frames - block_starts, clips)

    def _find_order(self, ids: NDArray[np.character], rejects: Rejects) -> NDArray[np.int64]:
        order: NDArray[np.int64] = np.argsort(ids, kind="stable")
        if not np.any(ids[order[1:]] == ids[order[:-1]]):
            return order
        # First by file name, so that which one is kept does not depend on how an archive was packed.
        _, rank = np.unique([name.rsplit("/", 1)[-1] for name in self._files], return_inverse=True)
        files = np.repeat(np.arange(len(self._files)), [clips for clips, _, _ in self._blocks])
        records = self._rows.records
        order = np.lexsort((np.asarray(records), rank[files], ids))
        repeated = np.concatenate([[False], ids[order[1:]] == ids[order[:-1]]])
        for position in np.flatnonzero(repeated):
            clip, earlier = int(order[position]), int(order[position - 1])
            where = f"{self._files[files[earlier]]}, record {records[earlier]}"
            finding = f"repeated video id {ids[clip].decode(errors='replace')}, which {where} has as well"
            rejects.add(self.name, self._files[files[clip]], records[clip], finding)
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
    """Return [N + 1]: where each of N runs of these lengths starts, and the end of the last."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _runs(offsets: NDArray[np.int64], order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the items of all runs, taken in this order, and the runs' new offsets."""
    new = _offsets(np.diff(offsets)[order])
    positions = np.arange(new[-1]) + np.repeat(offsets[order] - new[:-1], np.diff(new))
    return positions, new


def _take(
    raws: Sequence[NDArray[Any]], raw_of: NDArray[np.int64], first: NDArray[np.int64], lengths: NDArray[np.integer[Any]]
) -> NDArray[Any]:
    """Return the frames of some clips end to end, each from its place in its raw file."""
    offsets = _offsets(lengths)
    places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], lengths)
    used = np.unique(raw_of)
    if len(used) == 1:
        taken: NDArray[Any] = raws[used[0]][places]
        return taken
    taken = np.empty((len(places), raws[0].shape[1]), raws[0].dtype)
    for raw in used:
        here = np.flatnonzero(np.repeat(raw_of == raw, lengths))
        taken[here] = raws[raw][places[here]]
    return taken
