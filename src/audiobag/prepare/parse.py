"""Parsing of a record's payload into a `Clip`.

protobuf parses the first record of each layout, the layout the others. Payloads that do not fit a layout go to
protobuf again, so both ways accept the same records. The layouts are kept because protobuf alone does not reach three
times the speed of the `tfrecord` package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from audiobag.prepare.layout import Layout, learn_layout
from audiobag.prepare.messages import SequenceExample
from audiobag.prepare.records import Clip
from audiobag.prepare.source import BadRecord

_MAX_LAYOUTS = 4096
_MAX_LABEL_BITS: Final = 28
# Usually holds the name of the context's first entry.
_ENTRY_NAME: Final = slice(2, 12)


class Parser:
    """Parses payloads with frames of `dim` bytes and labels of `classes` classes.

    Args:
        dim: D, the bytes of a frame.
        classes: K; labels lie in 0..K-1.
        labelled: whether every record must have labels.
    """

    def __init__(self, dim: int, classes: int, labelled: bool = True) -> None:
        self._dim = dim
        self._classes, self._labelled = classes, labelled
        self._layouts: dict[tuple[int, bytes], Layout | None] = {}
        # Many clips have the same labels.
        self._labels = lru_cache(maxsize=2**16)(self._unpack_labels)

    def __call__(self, payload: bytes) -> Clip:
        """Return the clip in `payload`, its labels ascending and without repeats.

        Raises:
            BadRecord: the payload is not a valid record.
        """
        layout = self._layouts.get((len(payload), payload[_ENTRY_NAME]))
        if layout is not None and (cut := layout.cut(payload)) is not None:
            video_id, start, end, packed, frames = cut
            label_ids = self._labels(packed)
            if label_ids is not None:
                return Clip(video_id, frames, label_ids, start, end)
        return self._parse(payload)

    def _parse(self, payload: bytes) -> Clip:
        try:
            example = SequenceExample.FromString(payload)
        except DecodeError as error:
            raise BadRecord(f"the payload is not a tensorflow.SequenceExample ({error})") from error
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
        # Payloads of one layout agree in these two, and those of different layouts seldom do.
        key = len(payload), payload[_ENTRY_NAME]
        if key not in self._layouts and len(self._layouts) < _MAX_LAYOUTS:
            self._layouts[key] = learn_layout(payload, clip)
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
                raise BadRecord(f"frame {t} of audio_embedding has {found}, expected one value of {self._dim} bytes")
            frames.append(value[0])
        return np.frombuffer(b"".join(frames), np.uint8).reshape(-1, self._dim)

    def _check_labels(self, labels: Sequence[int]) -> None:
        wrong = [k for k in labels if not 0 <= k < self._classes]
        if wrong:
            raise BadRecord(f"label {wrong[0]} is outside 0..{self._classes - 1}")

    def _unpack_labels(self, packed: bytes) -> tuple[int, ...] | None:
        """Return the labels in a list of varints, ascending; None if protobuf must decide."""
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
    """Return the list of values of a context feature, which may be empty but must be of this kind."""
    if name not in context:
        raise BadRecord(f"the record has no {name}")
    found = context[name].WhichOneof("kind")
    if found != kind:
        raise BadRecord(f"the record's {name} is a {found or 'feature without a value'}, expected a {kind}")
    return getattr(context[name], kind).value


def _single(context: Any, name: str, kind: str, missing: Any = None) -> Any:
    """Return the single value of a context feature, or `missing`, if given, when the feature is missing."""
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
        raise BadRecord(f"the record has {len(witness)} lists of witness frames for {labels} labels")
    wrong = [t for shown_by in witness for t in shown_by if not 0 <= t < frames]
    if wrong:
        raise BadRecord(f"witness frame {wrong[0]} is outside the clip, which has {frames} frames")
    return witness


def _with_ascending_labels(clip: Clip) -> Clip:
    labels = tuple(sorted(set(clip.label_ids)))
    if clip.witness is None:
        return clip._replace(label_ids=labels)
    shown_by: dict[int, set[int]] = {k: set() for k in labels}
    for k, witness in zip(clip.label_ids, clip.witness, strict=True):
        shown_by[k].update(int(t) for t in witness)
    return clip._replace(label_ids=labels, witness=[sorted(shown_by[k]) for k in labels])
