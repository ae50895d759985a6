"""Layouts of records: the positions of values in payloads that are encoded alike.

Nearly all records of a release are alike: four context entries in some order, then n frames, each after the same
header. A layout is learned from one payload, and cuts up the others of its kind with one `struct` call, in a seventh of
the time that protobuf takes.
"""

from __future__ import annotations

import struct
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.messages import FeatureList, Features, Halves, SequenceExample
from audiobag.prepare.records import Clip, serialise

_UINT8: Final = np.dtype(np.uint8)
_CONTEXT = ("video_id", "start_time_seconds", "end_time_seconds", "labels")


class Layout:
    """Positions of the values in payloads of one length.

    Args:
        before: the bytes before the context's entries.
        context: (name, bytes before the value, `struct` format of the value) of each entry, in order.
        between: the bytes from the context to the first frame.
        header: the bytes before each frame.
        dim: D.
        n: the number of frames.
    """

    def __init__(
        self, before: bytes, context: list[tuple[str, bytes, str]], between: bytes, header: bytes, dim: int, n: int
    ) -> None:
        fixed = [before]
        formats = [f"<{len(before)}s"]
        for _, prefix, value in context:
            fixed.append(prefix)
            formats += f"{len(prefix)}s", value
        fixed += [between, *[header] * n]
        formats += f"{len(between)}s", f"{len(header)}s{dim}s" * n
        values = {name: 2 + 2 * i for i, (name, _, _) in enumerate(context)}
        end = 1 + 2 * len(context)
        places = (0, *range(1, end, 2), end, *range(end + 1, end + 1 + 2 * n, 2))
        self._unpack = struct.Struct("".join(formats)).unpack
        self._fixed = tuple(fixed)
        self._fixed_parts = itemgetter(*places)
        self._values = itemgetter(*[values[name] for name in _CONTEXT])
        self._first_frame = end + 2
        self._shape = (n, dim)

    def cut(self, payload: bytes) -> tuple[bytes, float, float, bytes, NDArray[np.uint8]] | None:
        """Return video id, start, end, labels as varints, and frames [n, D]; None if the layout does not fit.

        Args:
            payload: has the length of the payload that the layout was learned from.
        """
        parts = self._unpack(payload)
        if self._fixed_parts(parts) != self._fixed:
            return None
        frames: NDArray[Any] = np.ndarray(self._shape, _UINT8, b"".join(parts[self._first_frame :: 2]))
        return *self._values(parts), frames


def learn_layout(payload: bytes, clip: Clip) -> Layout | None:
    """Return the layout of a payload, or None unless it is the plain encoding of `clip`, entries in any order."""
    label_bytes = sum(max(1, (k.bit_length() + 6) // 7) for k in clip.label_ids)
    if clip.witness is not None or label_bytes > 127:  # A longer list has a longer prefix, and is rare.
        return None
    plain = SequenceExample.FromString(serialise(clip))
    entries = {name: Features(feature={name: plain.context.feature[name]}) for name in _CONTEXT}
    whole = {name: entry.SerializeToString() for name, entry in entries.items()}
    names = sorted(_CONTEXT, key=lambda name: payload.find(whole[name]))
    context = b"".join(whole[name] for name in names)
    lists = plain.feature_lists.SerializeToString()
    if Halves(context=context, feature_lists=lists).SerializeToString() != payload:
        return None
    values = {"video_id": f"{len(clip.video_id)}s", "labels": f"{label_bytes}s"}
    fields = []
    for name in names:
        value = values.get(name, "f")
        fields.append((name, whole[name][: len(whole[name]) - struct.calcsize(f"<{value}")], value))
    n, dim = clip.frames.shape
    frame = plain.feature_lists.feature_list["audio_embedding"].feature[0]
    header = FeatureList(feature=[frame]).SerializeToString()[:-dim]
    start = payload.index(context)
    first_frame = len(payload) - n * (len(header) + dim)
    return Layout(payload[:start], fields, payload[start + len(context) : first_frame], header, dim, n)
