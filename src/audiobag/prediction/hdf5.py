"""Predictions of all classes as arrays in HDF5.

| data set | shape | content |
| --- | --- | --- |
| video_id | [N] | in the order of the source |
| probability | [N, K] | F |
| class_names | [K] | |
| start_seconds | [N] | start of the clip in its video; NaN if unknown |
| offsets | [N + 1] | with frames: clip i has the rows offsets[i] : offsets[i + 1] |
| frame, measure | [F, K] | with frames: f and p, all clips end to end; no measure if the model has none |

Attributes: `frame_seconds`, `checkpoint`, `source`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audiobag.prediction.stream import Predicted
from audiobag.prediction.tables import Add, Content
from audiobag.utils.files import atomic
from audiobag.utils.hdf5 import open_hdf5

_CHUNK_ROWS = 256


@contextmanager
def hdf5_file(path: Path, content: Content, checkpoint: Path, source: Path) -> Iterator[Add]:
    """Yield a function that writes a batch; the file appears when the context exits.

    Ids, times and offsets (40 bytes per clip) stay in memory until then.

    Args:
        path: the file to write.
        content: what to write about each clip.
        checkpoint: recorded as an attribute.
        source: recorded as an attribute.
    """
    ids, widths = bytearray(), array("i")
    starts, lengths = array("f"), array("q")
    K = len(content.names)
    with atomic(path) as temporary, open_hdf5(temporary, "w") as file:

        def append(name: str, rows: np.ndarray) -> None:
            if name not in file:
                file.create_dataset(name, (0, K), np.float32, maxshape=(None, K), chunks=(_CHUNK_ROWS, K))
            dataset = file[name]
            first = len(dataset)
            dataset.resize(first + len(rows), axis=0)
            dataset[first:] = rows

        def add(batch: Predicted) -> None:
            for clip in batch.clips:
                ids.extend(clip.video_id)
                widths.append(len(clip.video_id))
                starts.append(clip.start_seconds)
                lengths.append(len(clip.frames))
            append("probability", batch.probability)
            if content.frames:
                own = np.arange(batch.frame.shape[1]) < np.array([len(c.frames) for c in batch.clips])[:, None]
                append("frame", batch.frame[own])
                if batch.measure is not None:
                    append("measure", batch.measure[own])

        yield add
        ends = np.cumsum(widths, dtype=np.int64).tolist()
        cut = (bytes(ids[end - width : end]) for width, end in zip(widths, ends, strict=True))
        file["video_id"] = np.fromiter(cut, f"S{max(max(widths, default=1), 1)}", len(widths))
        file["class_names"] = np.array([name.encode() for name in content.names])
        file["start_seconds"] = np.asarray(starts, np.float32)
        if content.frames:
            file["offsets"] = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        file.attrs.update(frame_seconds=content.frame_seconds, checkpoint=str(checkpoint), source=str(source))
