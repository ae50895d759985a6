"""Strong labels: in which frames of a store's clips each class is heard, from planted witnesses or a file of events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from audiobag.data.events import Events, Place, read_events
from audiobag.data.store import DatasetInfo, Store
from audiobag.metrics.frame_truth import FrameTruth
from audiobag.metrics.ontology import nearest_classes
from audiobag.utils.errors import InputError

OVERLAP: Final = 0.1
"""The share of a frame that events of a class must cover for the frame to show the class."""

PLANTED: Final = "planted"
_SLACK = 1e-6  # seconds; times in files are multiples of a millisecond
_SAME_START = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class StrongLabels:
    """The clips of a store that have strong labels.

    Attributes:
        rows: number [M] of each clip in the store, ascending.
        truth: the frames of these clips that show each class.
        counts: what was read and what was left out, by name, see `strong_labels`.
    """

    rows: Int64[NDArray[Any], " M"]
    truth: FrameTruth
    counts: dict[str, int]


def strong_labels(store: Store, strong: str | Path, ontology: str | Path | None = None) -> StrongLabels:
    """Return the strong labels of a store's clips.

    A frame shows a class if events of the class cover at least a tenth of it (`OVERLAP`). An event that covers a tenth
    of no frame shows in the frame that it overlaps most. In a file with explicit negatives, a frame is known to lack a
    class if it does not show it and rows with NOT_PRESENT cover at least nine tenths of it.

    A label is a class of the store if it is its machine id or its name; upper and lower case, and spaces and
    underscores, are not told apart. Otherwise, with an ontology, it stands for its nearest ancestors among the classes.

    A clip of the file is a clip of the store if the video id is the same and the start in the video is the same or
    unknown. Counts: `clips` with strong labels, `clips_without_strong` of the store, `clips_not_in_store` of the file,
    `events` of known labels in these clips, `events_of_unknown_labels`, `unknown_labels`, `events_outside` the frames
    of their clip, and `pairs` of a clip and a class, of which `pairs_everywhere` are heard in all known frames.

    Args:
        store: the clips.
        strong: a file of events, see `read_events`; "planted" for the witnesses in a synthetic store.
        ontology: a file in the format of AudioSet's `ontology.json`; None to leave out labels that are not classes.

    Raises:
        ValueError: the file cannot be read, none of its clips is in the store, or the store has no witnesses.
    """
    return _planted(store) if str(strong) == PLANTED else _from_events(store, read_events(Path(strong)), ontology)


def _planted(store: Store) -> StrongLabels:
    frames, offsets = store.columns.witness_frames, store.columns.witness_offsets
    if frames is None or offsets is None:
        raise InputError(f"strong must be a file of events, since {store.path} has no planted witnesses, got {PLANTED}")
    labels, lengths = store.labels, store.columns.lengths
    clip, counts = labels.clips, np.diff(offsets)
    good = len(offsets) == len(clip) + 1 and offsets[0] == 0 and offsets[-1] == len(frames) and (counts >= 0).all()
    if not good or (frames < 0).any() or (frames >= np.repeat(lengths[clip], counts)).any():
        raise InputError(f"{store.path} is damaged, its witnesses are not frames of its clips: make it again")
    shows = np.zeros((len(clip), int(lengths.max(initial=1))), np.bool_)
    shows[np.repeat(np.arange(len(clip)), counts), frames] = True
    truth = FrameTruth(lengths, clip, labels.ids.astype(np.int64), shows, store.classes)
    return StrongLabels(np.arange(len(store)), truth, _counted(store, truth))


def _from_events(store: Store, events: Events, ontology: str | Path | None) -> StrongLabels:
    row = _rows(store, events.places)
    rows = np.unique(row[row >= 0])
    if not len(rows):
        raise InputError(
            f"strong must be about clips of {store.path}, got {events.path}, none of whose {len(row)} clips it has"
        )
    names = sorted(set(events.label))
    classes = dict(zip(names, _classes(store.description, names, ontology), strict=True))
    here = row[events.clip] >= 0
    times = np.array([len(classes[label]) for label in events.label], np.int64)
    of = np.repeat(np.arange(len(times)), np.where(here, times, 0))  # an event for each of the classes of its label
    label = np.array([k for e in np.flatnonzero(here).tolist() for k in classes[events.label[e]]], np.int64)
    clip, present = np.searchsorted(rows, row[events.clip[of]]), events.present[of]
    pairs, pair = np.unique(clip * store.classes + label, return_inverse=True)
    lengths = store.columns.lengths[rows]
    limit = lengths[pairs // store.classes]
    seconds, start, end = store.description.frame_seconds, events.start[of], events.end[of]

    def shown(chosen: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
        return _covered(pair[chosen], start[chosen], end[chosen], limit, seconds) >= least * seconds - _SLACK

    each = _overlap(start, end, limit[pair], seconds, int(lengths.max()))
    most = each.max(1, initial=0)
    brief = present & (most > 0) & (most < OVERLAP * seconds - _SLACK)
    shows = shown(present, OVERLAP)
    shows[pair[brief], each[brief].argmax(1)] = True
    known = shows | shown(~present, 1 - OVERLAP) if events.explicit else None
    kept = shows.any(1) if known is None else known.any(1)
    truth = FrameTruth(
        lengths,
        pairs[kept] // store.classes,
        pairs[kept] % store.classes,
        shows[kept],
        store.classes,
        None if known is None else known[kept],
    )
    counts = {
        **_counted(store, truth),
        "clips_not_in_store": int((row < 0).sum()),
        "events": int((here & (times > 0)).sum()),
        "events_of_unknown_labels": int((here & (times == 0)).sum()),
        "unknown_labels": sum(not found for found in classes.values()),
        "events_outside": len(np.unique(of[most <= 0])),
    }
    return StrongLabels(rows, truth, counts)


def _counted(store: Store, truth: FrameTruth) -> dict[str, int]:
    everywhere = (truth.shows | ~truth.valid).all(1)
    return {
        "clips": len(truth),
        "clips_without_strong": len(store) - len(truth),
        "pairs": len(truth.clip),
        "pairs_everywhere": int(everywhere.sum()),
    }


def _rows(store: Store, places: Sequence[Sequence[Place]]) -> NDArray[np.int64]:
    """Return the row of the store that each clip of a file is, -1 for none."""
    rows = {bytes(video_id): i for i, video_id in enumerate(store.columns.video_id)}
    start = store.columns.start_seconds

    def find(choices: Sequence[Place]) -> int:
        for video_id, begin in choices:
            row = rows.get(video_id.encode(errors="surrogateescape"), -1)
            # A start that is unknown, NaN, differs from none.
            if row >= 0 and not abs(begin - start[row]) > _SAME_START:
                return row
        return -1

    return np.array([find(choices) for choices in places], np.int64)


def _classes(info: DatasetInfo, labels: Sequence[str], ontology: str | Path | None) -> list[tuple[int, ...]]:
    """Return the classes that each label stands for; none for an unknown label."""
    index: dict[str, tuple[int, ...]] = {}
    for names in (info.class_mids, info.class_names, map(_plain, info.class_names)):
        for k, name in enumerate(names):
            index.setdefault(name, (k,))
    if ontology is not None:
        for name, nearest in nearest_classes(Path(ontology), info.class_mids).items():
            index.setdefault(name, nearest)
    return [index.get(label) or index.get(_plain(label), ()) for label in labels]


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def _covered(
    pair: NDArray[np.int64],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    limit: NDArray[np.int64],
    seconds: float,
) -> Float64[NDArray[Any], "P T"]:
    """Return the seconds [P, T] of each frame that the union of the events of a pair covers.

    Args:
        pair: pair [E] of each event, 0 to P - 1.
        start: [E].
        end: [E].
        limit: number of frames [P] of the clip of each pair.
        seconds: duration of a frame.
    """
    order = np.lexsort((start, pair))
    pair, start, end = pair[order], start[order], end[order]
    # Times of different pairs are far apart, so one running maximum serves all pairs.
    far = pair * (2 * math.ceil(end.max(initial=0)) + 2.0)
    before = np.maximum.accumulate(np.append(-math.inf, end + far))[:-1] - far
    T = int(limit.max(initial=1))
    covered = np.zeros((len(limit), T))
    np.add.at(covered, pair, _overlap(np.maximum(start, before), end, limit[pair], seconds, T))
    return covered


def _overlap(
    start: NDArray[np.float64], end: NDArray[np.float64], limit: NDArray[np.int64], seconds: float, frames: int
) -> Float64[NDArray[Any], "E T"]:
    """Return the seconds [E, T] of each frame that each event covers; 0 after the clip's last frame, `limit` [E]."""
    t = np.arange(frames)
    first = t * seconds
    overlap = np.minimum(end[:, None], first + seconds) - np.maximum(start[:, None], first)
    return np.where(t < limit[:, None], np.maximum(overlap, 0), 0)
