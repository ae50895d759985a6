"""Tables of clips in files of arrays: the authors' packed HDF5, and a user's own embeddings in HDF5 or NPZ.

| packed | own | shape | meaning |
| --- | --- | --- | --- |
| x, uint8 | frames, uint8 or float16 or float32 | [N, 10, 128]; [F, D] | the frames |
| | offsets or lengths | [N + 1]; [N] | the frames of each clip |
| y | labels, or label_ids with label_offsets | [N, K]; [P], [N + 1] | 0 or 1; or the classes that are present |
| video_id_list | video_id (default: numbers) | [N] | |
| | start_seconds, end_seconds (default: NaN) | [N] | |
| | class_names (default: numbers), class_mids (default: empty) | [K] | |
| | frame_seconds (default: 1), scale, offset | | default: (x - 128) / 128 for uint8, x itself for floats |

The three numbers may be attributes of the HDF5 file. Single clips are checked when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import DatasetInfo
from audiobag.prepare.fields import Arrays, Fields, ReadLabels, multi_hot, no_labels
from audiobag.prepare.source import AUDIOSET_DIM, audioset_description, own_description
from audiobag.utils.errors import InputError

_DTYPES = ("uint8", "float16", "float32")
_PACKED = ("x", "y", "video_id_list")
_OWN = (
    *("frames", "offsets", "lengths", "labels", "label_ids", "label_offsets", "video_id", "start_seconds"),
    *("end_seconds", "class_names", "class_mids", "frame_seconds", "scale", "offset"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """N clips in arrays; everything but the frames and the labels is in memory.

    Attributes:
        offsets: [N + 1], clip i has the frames offsets[i]..offsets[i + 1] - 1.
        frames: (i, j) -> [f, D], the frames of the clips i..j - 1.
        labels: (i, j) -> a function that returns the labels of one of these clips, or raises `BadRecord`.
        video_id: [N].
        start_seconds: [N].
        end_seconds: [N].
        dim: D.
        dtype: of the frames.
        description: classes, dequantisation, source.
    """

    offsets: NDArray[np.int64]
    frames: Callable[[int, int], NDArray[Any]]
    labels: ReadLabels
    video_id: Sequence[bytes]
    start_seconds: NDArray[np.float32]
    end_seconds: NDArray[np.float32]
    dim: int
    dtype: np.dtype[Any]
    description: DatasetInfo

    def __len__(self) -> int:
        return len(self.video_id)


def read_table(path: Path, arrays: Arrays, attributes: Mapping[str, Any], source: str, labelled: bool = True) -> Table:
    """Return the clips in an open file.

    Args:
        path: the file, for messages.
        arrays: the arrays in the file.
        attributes: attributes of the file; empty for NPZ.
        source: name of the source, recorded in the store.
        labelled: whether there must be labels; if there need not be and are none, clips have no labels.

    Raises:
        ValueError: the arrays are of neither kind, or contradict each other.
    """
    fields = Fields(path, arrays, attributes)
    if all(name in arrays for name in _PACKED if labelled or name != "y"):
        return _packed(fields, source)
    if "frames" in arrays:
        return _own(fields, source, labelled)
    raise InputError(
        f"{path} holds {', '.join(arrays) or 'nothing'}; expected x, y and video_id_list (packed AudioSet), or frames "
        "with lengths or offsets, and labels (own embeddings): see 'Your embeddings' in the documentation"
    )


def _packed(fields: Fields, source: str) -> Table:
    x, ids, y = fields.arrays["x"], fields.arrays["video_id_list"], fields.arrays.get("y")
    description = audioset_description(source)
    n, classes = len(ids), len(description.class_names)
    good = x.ndim == 3 and len(x) == n and x.shape[2] == AUDIOSET_DIM
    fields.expect(good, f"x is {list(x.shape)}", f"[{n}, 10, 128]")
    fields.expect(x.dtype == np.uint8, f"x is {x.dtype}", "uint8")
    if y is not None:
        fields.expect(y.shape == (n, classes), f"y is {list(y.shape)}", f"[{n}, {classes}]")
    unknown = np.full(n, np.nan, np.float32)
    return Table(
        offsets=np.arange(n + 1) * x.shape[1],
        frames=lambda i, j: x[i:j].reshape(-1, x.shape[2]),
        labels=no_labels if y is None else multi_hot(y),
        video_id=_as_bytes(ids[()]),
        start_seconds=unknown,
        end_seconds=unknown,
        dim=x.shape[2],
        dtype=x.dtype,
        description=description,
    )


def _own(fields: Fields, source: str, labelled: bool) -> Table:
    fields.check_names(_OWN)
    frames = fields.arrays["frames"]
    fields.expect(frames.ndim == 2 and frames.shape[1] > 0, f"frames is {list(frames.shape)}", "[F, D]")
    fields.expect(frames.dtype.name in _DTYPES, f"frames is {frames.dtype}", " or ".join(_DTYPES))
    dtype = frames.dtype.newbyteorder("=")
    offsets = fields.frame_offsets(len(frames))
    n = len(offsets) - 1
    labels, classes = fields.labels(n, labelled)
    names = fields.column("class_names", classes, [f"class {k}" for k in range(classes)])
    mids = fields.column("class_mids", classes, [""] * classes)
    usual = own_description(_as_texts(names), _as_texts(mids), frames.dtype, source)
    description = replace(
        usual,
        frame_seconds=fields.number("frame_seconds", usual.frame_seconds),
        scale=fields.number("scale", usual.scale),
        offset=fields.number("offset", usual.offset),
    )
    if wrong := description.wrong():
        raise InputError(f"{fields.path}: {wrong}: see 'Your embeddings' in the documentation")
    return Table(
        offsets=offsets,
        frames=lambda i, j: np.ascontiguousarray(frames[offsets[i] : offsets[j]], dtype),
        labels=labels,
        video_id=_as_bytes(fields.column("video_id", n, [f"{i:0{len(str(n))}}" for i in range(n)])),
        start_seconds=fields.seconds("start_seconds", n),
        end_seconds=fields.seconds("end_seconds", n),
        dim=frames.shape[1],
        dtype=dtype,
        description=description,
    )


def _as_texts(values: Any) -> list[str]:
    return [value.decode() for value in _as_bytes(values)]


def _as_bytes(values: Any) -> list[bytes]:
    return [bytes(value) if isinstance(value, bytes) else str(value).encode() for value in values]
