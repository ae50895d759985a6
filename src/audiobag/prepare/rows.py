"""Everything of clips but their frames, as they come, in compact arrays (60 bytes a clip for AudioSet)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.records import Clip, Reject

MAX_ID = 255
MIXED = "records with witness frames and records without them are mixed"


class Rows:
    """N clips without their frames: clip i is the i-th entry of each array, or the i-th run of it.

    Attributes:
        counts: by name, how many bytes of `ids`, frames and `labels` each clip has, and how many frames of
            `witness` each of its labels.
        witnessed: whether the clips say which frames show their labels; None as long as there is no clip.
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

    def take(self, clips: Iterable[tuple[int, Clip]], file: BinaryIO, reject: Reject) -> None:
        """Take clips and write their frames into a file; those that no store takes are rejected.

        Args:
            clips: with the numbers of their records.
            file: takes the frames, end to end.
            reject: takes the number of a bad record and what was found.
        """
        write, counts = file.write, self.counts
        id_counts, frame_counts, label_counts = counts["id"], counts["frame"], counts["label"]
        for record, (video_id, frames, label_ids, start, end, witness) in clips:
            if not 0 < len(video_id) <= MAX_ID or 0 in video_id:
                found = f"the video id {video_id[:32]!r} is empty, too long or has a NUL"
                reject(record, f"{found}, expected 1 to {MAX_ID} bytes")
                continue
            if self.witnessed is not (witness is not None):
                if self.witnessed is not None:
                    reject(record, MIXED)
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

    def extend(self, others: Rows) -> None:
        """Take other clips, which agree in `witnessed`, after these."""
        self.ids += others.ids
        for of, counts in self.counts.items():
            counts.extend(others.counts[of])
        for name in ("labels", "witness", "starts", "ends", "records"):
            getattr(self, name).extend(getattr(others, name))
        self.witnessed = others.witnessed if self.witnessed is None else self.witnessed

    def video_ids(self) -> NDArray[np.character]:
        """Return the ids as an array of strings."""
        lengths = np.asarray(self.counts["id"])
        padded = np.zeros((len(lengths), int(lengths.max())), np.uint8)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.frombuffer(self.ids, np.uint8)
        ids: NDArray[np.character] = padded.view(f"S{padded.shape[1]}")[:, 0]
        return ids
