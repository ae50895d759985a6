"""From a record's payload to a `Clip`, by protobuf, or by the layout that a record like it had.

Nearly all records of a release are alike on the wire: four context entries in some order, then n frames, each
behind the same header. protobuf reads the first of its like; if its fields, written again, give the very same
bytes, their places are remembered, and records that have the same bytes between those places are cut up by one
`struct` call. Whatever deviates goes to protobuf, so both ways accept the same records.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from audiobag.prepare.messages import FeatureList, Features, Halves, SequenceExample
from audiobag.prepare.records import Clip, serialise
from audiobag.prepare.source import BadRecord

_UINT8: Final = np.dtype(np.uint8)
_MAX_LAYOUTS = 4096
_MAX_LABEL_BITS: Final = 28
# Where the context's first entry tells its name, unless the context is very long or short.
_ENTRY_NAME: Final = slice(2, 12)
_CONTEXT = ("video_id", "start_time_seconds", "end_time_seconds", "labels")


class Parser:
    """Reads payloads of `dim`-byte frames, labelled with `classes` classes.

    Args:
        dim: D, the bytes of a frame.
        classes: K; labels lie in 0..K-1.
        labelled: whether a record must say its labels.
    """

    def __init__(self, dim: int, classes: int, labelled: bool = True) -> None:
        self._dim = dim
        self._classes, self._labelled = classes, labelled
        self._layouts: dict[tuple[int, bytes], _Layout | None] = {}
        # Many clips have the same labels.
        self._labels = lru_cache(maxsize=2**16)(self._unpack_labels)

    def __call__(self, payload: bytes) -> Clip:
        """Return the clip in `payload`, its labels ascending and without repeats.

        Raises:
            BadRecord: the payload is no such record.
        """
        layout = self._layouts.get((len(payload), payload[_ENTRY_NAME]))
        if layout is not None:
            parts = layout.struct.unpack(payload)
            if layout.fixed_parts(parts) == layout.fixed:
                video_id, start, end, packed = layout.values(parts)
                label_ids = self._labels(packed)
                if label_ids is not None:
                    frames = np.ndarray(layout.shape, _UINT8, b"".join(parts[layout.first_frame :: 2]))
                    return Clip(video_id, frames, label_ids, start, end)
        return self._parse(payload)

    def _parse(self, payload: bytes) -> Clip:
        try:
            example = SequenceExample.FromString(payload)
        except DecodeError as error:
            raise BadRecord(f"the payload is no tensorflow.SequenceExample ({error})") from error
        context, lists = example.context.feature, example.feature_lists.feature_list
        frames = self._parse_frames(lists)
        known = self._labelled or "labels" in context
        labels = tuple(_values(context, "labels", "int64_list")) if known else ()
        self._check_labels(labels)
        clip = Clip(
            _single(context, "video_id", "bytes_list"),
            frames,
            labels,
            _single(context, "start_time_seconds", "float_list", math.nan),
            _single(context, "end_time_seconds", "float_list", math.nan),
            _parse_witness(lists, len(labels), len(frames)),
        )
        # What payloads of one layout agree in, and those of others seldom do.
        likeness = len(payload), payload[_ENTRY_NAME]
        if likeness not in self._layouts and len(self._layouts) < _MAX_LAYOUTS:
            self._layouts[likeness] = _learn(payload, clip)
        return _with_ascending_labels(clip)

    def _parse_frames(self, lists: Any) -> NDArray[np.uint8]:
        features = lists["audio_embedding"].feature if "audio_embedding" in lists else ()
        if not features:
            raise BadRecord("the record has no audio_embedding")
        frames = []
        for t, feature in enumerate(features):
            value = feature.bytes_list.value
            if len(value) != 1 or len(value[0]) != self._dim:
                found = f"{len(value[0])} bytes" if len(value) == 1 else f"{len(value)} values"
                raise BadRecord(f"frame {t} of its audio_embedding has {found}, expected one of {self._dim} bytes")
            frames.append(value[0])
        return np.frombuffer(b"".join(frames), np.uint8).reshape(-1, self._dim)

    def _check_labels(self, labels: Sequence[int]) -> None:
        wrong = [k for k in labels if not 0 <= k < self._classes]
        if wrong:
            raise BadRecord(f"label {wrong[0]} lies outside 0..{self._classes - 1}")

    def _unpack_labels(self, packed: bytes) -> tuple[int, ...] | None:
        """Return the labels in a list of varints, ascending; None, which leaves them to protobuf, if any is odd."""
        labels: set[int] = set()
        label = shift = 0
        for byte in packed:
            label |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if label >= self._classes or shift > _MAX_LABEL_BITS:
                    return None
                labels.add(label)
                label = shift = 0
        return None if shift else tuple(sorted(labels))


def _values(context: Any, name: str, kind: str) -> Any:
    """Return the list of a context feature, which may be empty but must be of this kind."""
    if name not in context:
        raise BadRecord(f"the record has no {name}")
    found = context[name].WhichOneof("kind")
    if found != kind:
        raise BadRecord(f"the record's {name} is a {found or 'feature without a value'}, expected a {kind}")
    return getattr(context[name], kind).value


def _single(context: Any, name: str, kind: str, missing: Any = None) -> Any:
    """Return the one value of a context feature, or `missing` where that is given and the feature is not."""
    if name not in context and missing is not None:
        return missing
    values = _values(context, name, kind)
    if len(values) != 1:
        raise BadRecord(f"the record's {name} has {len(values)} values, expected one")
    return values[0]


def _parse_witness(lists: Any, labels: int, frames: int) -> list[list[int]] | None:
    if "witness" not in lists:
        return None
    witness = [list(feature.int64_list.value) for feature in lists["witness"].feature]
    if len(witness) != labels:
        raise BadRecord(f"{len(witness)} lists of witness frames for {labels} labels")
    wrong = [t for shown_by in witness for t in shown_by if not 0 <= t < frames]
    if wrong:
        raise BadRecord(f"witness frame {wrong[0]} lies outside the clip's {frames} frames")
    return witness


def _with_ascending_labels(clip: Clip) -> Clip:
    labels = tuple(sorted(set(clip.label_ids)))
    if clip.witness is None:
        return clip._replace(label_ids=labels)
    shown_by: dict[int, set[int]] = {k: set() for k in labels}
    for k, witness in zip(clip.label_ids, clip.witness, strict=True):
        shown_by[k].update(int(t) for t in witness)
    return clip._replace(label_ids=labels, witness=[sorted(shown_by[k]) for k in labels])


class _Layout:
    """Where the values stand in the payloads of one length.

    Args:
        before: the bytes ahead of the context's entries.
        context: each entry as (name, its bytes before the value, the value's `struct` format), in order.
        between: the bytes from the context to the first frame.
        header: those before each frame.
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
        self.struct = struct.Struct("".join(formats))
        self.fixed = tuple(fixed)
        self.fixed_parts = itemgetter(*places)
        self.values = itemgetter(*[values[name] for name in _CONTEXT])
        self.first_frame = end + 2
        self.shape = (n, dim)


def _learn(payload: bytes, clip: Clip) -> _Layout | None:
    """Return the layout of a payload, None unless it is the plainest encoding of `clip`, entries in any order."""
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
    return _Layout(payload[:start], fields, payload[start + len(context) : first_frame], header, dim, n)
