"""Files of arrays as tables of clips: the authors' packed HDF5, and a user's own embeddings in HDF5 or NPZ.

| packed | own | shape | what |
| --- | --- | --- | --- |
| x, uint8 | frames, uint8 or float16 or float32 | [N, 10, 128]; [F, D] | the frames |
| | offsets or lengths | [N + 1]; [N] | which frames are whose |
| y | labels, or label_ids with label_offsets | [N, K]; [P], [N + 1] | 0 or 1; or the classes that are present |
| video_id_list | video_id (default: numbers) | [N] | |
| | start_seconds, end_seconds (default: NaN) | [N] | |
| | class_names (default: numbers), class_mids (default: empty) | [K] | |
| | frame_seconds (default: 1), scale, offset | | default: (x - 128) / 128 of uint8, x itself of floats |

The three numbers may be attributes of the HDF5 file. What holds for single clips is checked as they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.errors import UserError
from audiobag.prepare.source import AUDIOSET_DIM, BadRecord, audioset_description
from audiobag.store import Description

Arrays = Mapping[str, Any]
"""Name -> array, of an open file: an HDF5 data set, read where it is sliced, or a NumPy array."""

_DTYPES = ("uint8", "float16", "float32")
_PACKED = ("x", "y", "video_id_list")


@dataclass(frozen=True, slots=True)
class Table:
    """N clips in arrays, of which all but the frames and the labels are in memory.

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
    labels: Callable[[int, int], Callable[[int], Sequence[int]]]
    video_id: Sequence[bytes]
    start_seconds: NDArray[np.float32]
    end_seconds: NDArray[np.float32]
    dim: int
    dtype: np.dtype[Any]
    description: Description

    def __len__(self) -> int:
        return len(self.video_id)


def read_table(path: Path, arrays: Arrays, attributes: Mapping[str, Any], source: str, labelled: bool = True) -> Table:
    """Return the clips in an open file.

    Args:
        path: the file, for messages.
        arrays: what it holds.
        attributes: its attributes, where a file of its kind has them.
        source: what the store is to say of where the clips come from.
        labelled: whether labels must be there; where they need not and are not, no clip has any.

    Raises:
        UserError: the arrays are none of the two kinds, or contradict each other.
    """
    if all(name in arrays for name in _PACKED if labelled or name != "y"):
        return _packed(path, arrays, source)
    if "frames" in arrays:
        return _own(path, arrays, attributes, source, labelled)
    raise UserError(
        f"{path} holds {', '.join(arrays) or 'nothing'}; expected x, y and video_id_list (packed AudioSet), or "
        "frames with offsets or lengths, and labels (your own): see the README on sources"
    )


def _packed(path: Path, arrays: Arrays, source: str) -> Table:
    x, ids, y = arrays["x"], arrays["video_id_list"], arrays.get("y")
    description = audioset_description(source)
    n, classes = len(ids), len(description.class_names)
    _expect(
        x.ndim == 3 and len(x) == n and x.shape[2] == AUDIOSET_DIM, path, f"x is {list(x.shape)}", f"[{n}, 10, 128]"
    )
    _expect(x.dtype == np.uint8, path, f"x is {x.dtype}", "uint8")
    if y is not None:
        _expect(y.shape == (n, classes), path, f"y is {list(y.shape)}", f"[{n}, {classes}]")
    unknown = np.full(n, np.nan, np.float32)
    return Table(
        offsets=np.arange(n + 1) * x.shape[1],
        frames=lambda i, j: x[i:j].reshape(-1, x.shape[2]),
        labels=_unknown if y is None else _multi_hot(y),
        video_id=_as_bytes(ids[()]),
        start_seconds=unknown,
        end_seconds=unknown,
        dim=x.shape[2],
        dtype=x.dtype,
        description=description,
    )


def _own(path: Path, arrays: Arrays, attributes: Mapping[str, Any], source: str, labelled: bool) -> Table:
    frames = arrays["frames"]
    _expect(frames.ndim == 2 and frames.shape[1] > 0, path, f"frames is {list(frames.shape)}", "[F, D]")
    _expect(frames.dtype.name in _DTYPES, path, f"frames is {frames.dtype}", " or ".join(_DTYPES))
    dtype = frames.dtype.newbyteorder("=")
    offsets = _read_offsets(path, arrays, len(frames))
    n = len(offsets) - 1
    labels, classes = _read_labels(path, arrays, n, labelled)
    names = _read_column(path, arrays, "class_names", classes, [f"class {k}" for k in range(classes)])
    mids = _read_column(path, arrays, "class_mids", classes, [""] * classes)
    unknown = np.full(n, np.nan, np.float32)
    quantised = frames.dtype == np.uint8

    def number(name: str, default: float) -> float:
        value = np.asarray(arrays[name][()] if name in arrays else attributes.get(name, default))
        _expect(value.size == 1 and bool(np.isfinite(value).all()), path, f"{name} is {value}", "one number")
        return float(value.reshape(()))

    return Table(
        offsets=offsets,
        frames=lambda i, j: np.ascontiguousarray(frames[offsets[i] : offsets[j]], dtype),
        labels=labels,
        video_id=_as_bytes(_read_column(path, arrays, "video_id", n, [f"{i:0{len(str(n))}}" for i in range(n)])),
        start_seconds=np.asarray(_read_column(path, arrays, "start_seconds", n, unknown), np.float32),
        end_seconds=np.asarray(_read_column(path, arrays, "end_seconds", n, unknown), np.float32),
        dim=frames.shape[1],
        dtype=dtype,
        description=Description(
            tuple(name.decode() for name in _as_bytes(names)),
            tuple(mid.decode() for mid in _as_bytes(mids)),
            frame_seconds=number("frame_seconds", 1.0),
            scale=number("scale", 1 / 128 if quantised else 1.0),
            offset=number("offset", -1.0 if quantised else 0.0),
            source=source,
        ),
    )


def _read_offsets(path: Path, arrays: Arrays, total: int) -> NDArray[np.int64]:
    """Return the frames' offsets, given as such or as lengths."""
    if "offsets" in arrays:
        return _check_offsets(path, "offsets", arrays["offsets"][()], total)
    if "lengths" not in arrays:
        raise UserError(f"{path} has frames but neither offsets nor lengths: add one, so that clips can be told apart")
    lengths = _integers(path, "lengths", arrays["lengths"][()])
    return _check_offsets(path, "lengths", np.concatenate([[0], np.cumsum(lengths)]), total)


def _check_offsets(path: Path, name: str, values: NDArray[Any], total: int) -> NDArray[np.int64]:
    offsets = _integers(path, name, values)
    spans = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == total
    found = f"{name} spans {offsets[0]}..{offsets[-1]}" if len(offsets) else f"{name} is empty"
    _expect(bool(spans), path, found, f"0..{total}, all there is")
    _expect(bool(np.all(np.diff(offsets) >= 0)), path, f"{name} falls", "clips end to end")
    return offsets


def _read_labels(
    path: Path, arrays: Arrays, n: int, labelled: bool
) -> tuple[Callable[[int, int], Callable[[int], Any]], int]:
    """Return how to read the labels of N clips, and how many classes there are."""
    names = len(arrays["class_names"]) if "class_names" in arrays else None
    if "labels" in arrays:
        hot = arrays["labels"]
        expected = f"[{n}, {names or 'K'}]"
        good = hot.ndim == 2 and len(hot) == n and names in (None, hot.shape[1])
        _expect(good, path, f"labels is {list(hot.shape)}", expected)
        return _multi_hot(hot), hot.shape[1]
    if not labelled and "label_ids" not in arrays:
        return _unknown, names or 0
    if "label_ids" not in arrays or "label_offsets" not in arrays:
        raise UserError(f"{path} has frames but no labels: add labels [N, K], or label_ids and label_offsets")
    ids = _integers(path, "label_ids", arrays["label_ids"][()])
    offsets = _check_offsets(path, "label_offsets", arrays["label_offsets"][()], len(ids))
    _expect(len(offsets) == n + 1, path, f"label_offsets has {len(offsets)} entries", f"{n + 1}, one more than clips")
    classes = names or int(ids.max(initial=0)) + 1
    return _listed(ids, offsets, classes), classes


def _unknown(_i: int, _j: int) -> Callable[[int], Sequence[int]]:
    return lambda _clip: ()


def _multi_hot(hot: Any) -> Callable[[int, int], Callable[[int], Sequence[int]]]:
    def block(i: int, j: int) -> Callable[[int], Sequence[int]]:
        values = hot[i:j]
        wrong = ((values != 0) & (values != 1)).any(axis=1)

        def labels(clip: int) -> Sequence[int]:
            if wrong[clip - i]:
                raise BadRecord("a label is neither 0 nor 1")
            return np.flatnonzero(values[clip - i]).tolist()

        return labels

    return block


def _listed(
    ids: NDArray[np.int64], offsets: NDArray[np.int64], classes: int
) -> Callable[[int, int], Callable[[int], Sequence[int]]]:
    def labels(clip: int) -> Sequence[int]:
        found = sorted(set(ids[offsets[clip] : offsets[clip + 1]].tolist()))
        wrong = [k for k in found if not 0 <= k < classes]
        if wrong:
            raise BadRecord(f"label {wrong[0]} lies outside 0..{classes - 1}")
        return found

    return lambda _i, _j: labels


def _read_column(path: Path, arrays: Arrays, name: str, n: int, default: Any) -> Any:
    if name not in arrays:
        return default
    values = arrays[name][()]
    _expect(values.shape == (n,), path, f"{name} is {list(values.shape)}", f"[{n}]")
    return values


def _integers(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    good = values.ndim == 1 and values.dtype.kind in "iu"
    _expect(good, path, f"{name} is {values.dtype} {list(values.shape)}", "integers in one dimension")
    return values.astype(np.int64)


def _as_bytes(values: Any) -> list[bytes]:
    return [bytes(value) if isinstance(value, bytes) else str(value).encode() for value in values]


def _expect(good: bool, path: Path, found: str, expected: str) -> None:
    if not good:
        raise UserError(f"{path}: {found}, expected {expected}: see the README on sources")
