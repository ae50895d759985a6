"""Compact arrays for everything but the frames of clips (60 bytes per clip of AudioSet)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.records import Clip, Reject

MAX_ID = 255


class Rows:
    """N clips without their frames: clip i is the i-th entry of each array, or the i-th run of it.

    Attributes:
        counts: by name, the number of bytes of `ids`, of frames and of `labels` of each clip, and the number of
            `witness` frames of each label.
        witnessed: whether the clips have witness frames; None while there is no clip.
    """

    def __init__(self) -> None:
        self.ids = bytearray()
        self.counts = {of: array("i") for of in ("id", "frame", "label", "witness")}
        self.labels, self.witness = array("i"), array("i")
        self.starts, self.ends = array("f"), array("f")
        self.records = array("q")
        self.witnessed: bool | None = None

    def __len__(self) -> int:
        return len(self.records)

    def extend(self, clips: Iterable[tuple[int, Clip]], file: BinaryIO, reject: Reject) -> None:
        """Append clips and write their frames to a file; clips that a store cannot hold are rejected.

        Args:
            clips: (record number, clip).
            file: receives the frames, end to end.
            reject: called with the number of a bad record and the reason.
        """
        write, counts = file.write, self.counts
        id_counts, frame_counts, label_counts = counts["id"], counts["frame"], counts["label"]
        for record, (video_id, frames, label_ids, start, end, witness) in clips:
            if not 0 < len(video_id) <= MAX_ID or 0 in video_id:
                found = f"the video id {video_id[:32]!r} is empty, too long or contains a NUL byte"
                reject(record, f"{found}, expected 1 to {MAX_ID} bytes")
                continue
            if self.witnessed is not (witness is not None):
                if self.witnessed is not None:
                    reject(record, "records with witness frames and records without them are mixed")
                    continue
                self.witnessed = witness is not None
            write(frames.data)
            self.ids += video_id
            id_counts.append(len(video_id))
            frame_counts.append(len(frames))
            self.labels.extend(label_ids)
            label_counts.append(len(label_ids))
            self.starts.append(start)
            self.ends.append(end)
            self.records.append(record)
            if witness is not None:
                for shown_by in witness:
                    self.witness.extend(shown_by)
                    counts["witness"].append(len(shown_by))

    def video_ids(self) -> NDArray[np.character]:
        """Return the ids as an array of byte strings."""
        lengths = np.asarray(self.counts["id"])
        padded = np.zeros((len(lengths), int(lengths.max())), np.uint8)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.frombuffer(self.ids, np.uint8)
        ids: NDArray[np.character] = padded.view(f"S{padded.shape[1]}")[:, 0]
        return ids
