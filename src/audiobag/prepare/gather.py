"""Clips as they come, to a store in the order of their video ids, in bounded memory.

Frames wait in a raw file on disk, everything else in compact arrays (60 bytes a clip for AudioSet); when the
last clip has come, the frames are gathered through a memory map, piece by piece.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.source import Advance, Part, Rejects
from audiobag.store import Columns, write_store

_MAX_ID = 255
_PIECE_BYTES = 2**24


class Split:
    """One split on its way.

    Args:
        first: the first part of it, whose dimension, dtype and description hold for all.
        raw: where its frames wait; the caller removes the file.
        file: the same, open for writing; to be closed before `write`.
    """

    def __init__(self, first: Part, raw: Path, file: BinaryIO) -> None:
        self.name = first.split
        self._part = first
        self._raw = raw
        self._file = file
        self._files: list[str] = []
        self._ids = bytearray()
        self._counts = {of: array("i") for of in ("id", "frame", "label", "witness")}
        self._labels, self._witness = array("i"), array("i")
        self._starts, self._ends = array("f"), array("f")
        self._file_numbers, self._records = array("i"), array("q")
        self._witnessed: bool | None = None
        self._order = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, part: Part, rejects: Rejects) -> None:
        """Take a part's clips."""
        self._files.append(part.file)
        number = len(self._files) - 1
        ids, labels = self._counts["id"], self._counts["label"]
        frames = self._counts["frame"]
        for record, clip in part.clips:
            video_id, bag, label_ids, start, end, witness = clip
            if problem := self._problem(video_id, witness):
                rejects.add(self.name, part.file, record, problem)
                continue
            self._file.write(bag.data)
            self._ids += video_id
            ids.append(len(video_id))
            frames.append(len(bag))
            self._labels.extend(label_ids)
            labels.append(len(label_ids))
            self._starts.append(start)
            self._ends.append(end)
            self._file_numbers.append(number)
            self._records.append(record)
            if witness is not None:
                self._add_witness(witness)

    def _problem(self, video_id: bytes, witness: Any) -> str:
        """Say what keeps a clip out of the store; nothing where all is well."""
        if not 0 < len(video_id) <= _MAX_ID or 0 in video_id:
            return f"the video id {video_id[:32]!r} is empty, too long or has a NUL, expected 1 to {_MAX_ID} bytes"
        if self._witnessed is None:
            self._witnessed = witness is not None
        if self._witnessed != (witness is not None):
            return "records with witness frames and records without them are mixed"
        return ""

    def _add_witness(self, witness: Any) -> None:
        for shown_by in witness:
            self._witness.extend(shown_by)
            self._counts["witness"].append(len(shown_by))

    @property
    def frame_bytes(self) -> int:
        """What `write` will tell `advance`, added up, unless `sort` found repeated ids."""
        return sum(self._counts["frame"]) * self._part.dim * self._part.dtype.itemsize

    def sort(self, rejects: Rejects) -> None:
        """Put the clips in the order of their ids; of those with the same id all but the first are rejected."""
        self._order = self._find_order(self._id_column(), rejects)

    def write(self, path: Path, attributes: dict[str, Any], advance: Advance) -> None:
        """Write the sorted clips as a store."""
        offsets = _offsets(self._counts["frame"])
        frames = np.memmap(self._raw, self._part.dtype, "r", shape=(int(offsets[-1]), self._part.dim))
        write_store(
            path,
            frames=_pieces(frames, offsets, self._order, advance),
            dim=self._part.dim,
            dtype=self._part.dtype,
            columns=self._columns(),
            description=self._part.description,
            attributes=attributes,
        )

    def _id_column(self) -> NDArray[np.character]:
        lengths = self._counts["id"]
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        text = bytes(self._ids)
        cut = (text[end - length : end] for length, end in zip(lengths, ends, strict=True))
        return np.fromiter(cut, f"S{max(lengths)}", len(lengths))

    def _find_order(self, ids: NDArray[np.character], rejects: Rejects) -> NDArray[np.int64]:
        order: NDArray[np.int64] = np.argsort(ids, kind="stable")
        if not np.any(ids[order[1:]] == ids[order[:-1]]):
            return order
        # First by file name, so that which one is kept does not depend on how an archive was packed.
        _, rank = np.unique([name.rsplit("/", 1)[-1] for name in self._files], return_inverse=True)
        files = np.asarray(self._file_numbers)
        order = np.lexsort((np.asarray(self._records), rank[files], ids))
        repeated = np.concatenate([[False], ids[order[1:]] == ids[order[:-1]]])
        for position in np.flatnonzero(repeated):
            clip, earlier = int(order[position]), int(order[position - 1])
            where = f"{self._files[files[earlier]]}, record {self._records[earlier]}"
            finding = f"repeated video id {ids[clip].decode(errors='replace')}, which {where} has as well"
            rejects.add(self.name, self._files[files[clip]], self._records[clip], finding)
        kept: NDArray[np.int64] = order[~repeated]
        return kept

    def _columns(self) -> Columns:
        order = self._order
        labels, label_offsets = _runs(_offsets(self._counts["label"]), order)
        narrow = len(self._part.description.class_names) - 1 <= np.iinfo(np.int16).max
        columns = Columns(
            offsets=_offsets(np.asarray(self._counts["frame"])[order]),
            label_ids=np.asarray(self._labels)[labels].astype(np.int16 if narrow else np.int32),
            label_offsets=label_offsets,
            video_id=self._id_column()[order],
            start_seconds=np.asarray(self._starts)[order],
            end_seconds=np.asarray(self._ends)[order],
        )
        if not self._witnessed:
            return columns
        shown_by, witness_offsets = _runs(_offsets(self._counts["witness"]), labels)
        witness_frames = np.asarray(self._witness)[shown_by]
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


def _pieces(
    frames: NDArray[Any], offsets: NDArray[np.int64], order: NDArray[np.int64], advance: Advance
) -> Iterator[NDArray[Any]]:
    """Yield the frames of the clips in this order, a bounded number at a time."""
    per_piece = max(1, _PIECE_BYTES // frames[0].nbytes)
    ends = np.cumsum(np.diff(offsets)[order])
    first = 0
    while first < len(order):
        start = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, start + per_piece, side="right")))
        piece = frames[_runs(offsets, order[first:last])[0]]
        yield piece
        advance(piece.nbytes)
        first = last
