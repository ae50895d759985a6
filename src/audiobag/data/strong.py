"""Strong labels: in which frames of a store's clips each class is heard, from planted witnesses or a file of events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from audiobag.data.events import read_events
from audiobag.data.store import Store
from audiobag.data.strong_events import StrongEvents, find_events, mark_of, stored_events
from audiobag.metrics.frame_truth import FrameTruth
from audiobag.utils.errors import InputError

OVERLAP: Final = 0.1
"""The share of a frame that events of a class must cover for the frame to show the class."""

PLANTED: Final = "planted"
_SLACK = 1e-6  # seconds; times in files are multiples of a millisecond


@dataclass(frozen=True, slots=True)
class HeardEvents:
    """When the classes are heard in M clips.

    Attributes:
        clip: clip [E] of each event, 0 to M - 1.
        label: class [E].
        start: [E], in seconds from the start of the clip.
        end: [E], at most the end of the clip.
    """

    clip: Int64[NDArray[Any], " E"]
    label: Int64[NDArray[Any], " E"]
    start: Float64[NDArray[Any], " E"]
    end: Float64[NDArray[Any], " E"]


@dataclass(frozen=True, slots=True)
class StrongLabels:
    """The clips of a store that have strong labels.

    Attributes:
        rows: number [M] of each clip in the store, ascending.
        truth: the frames of these clips that show each class.
        events: from when to when the classes are heard.
        counts: what was read and what was left out, by name, see `strong_labels`.
    """

    rows: Int64[NDArray[Any], " M"]
    truth: FrameTruth
    events: HeardEvents
    counts: dict[str, int]


def has_strong_labels(store: Store) -> bool:
    """Return whether a store has strong labels: planted witnesses, or events that `audiobag-prepare strong=` added."""
    return store.columns.witness_frames is not None or mark_of(store) is not None


def strong_labels(store: Store, strong: str | Path | None = None, ontology: str | Path | None = None) -> StrongLabels:
    """Return the strong labels of a store's clips.

    A frame shows a class if events of the class cover at least a tenth of it (`OVERLAP`). An event that covers less
    than a tenth of every frame counts for the frame that it overlaps most. In a file with explicit negatives, a frame
    is known to lack a class if it does not show it and rows with NOT_PRESENT cover at least nine tenths of it.

    A label is a class of the store if it is its machine id or its name; upper and lower case, and spaces and
    underscores, are not told apart. Otherwise, with an ontology, it stands for its nearest ancestors among the classes.

    A clip of the file is a clip of the store if the video id is the same and the start in the video is the same or
    unknown. Counts: `clips` with strong labels, `clips_without_strong` of the store, `clips_not_in_store` of the file,
    `events` of known labels in these clips, `events_of_unknown_labels`, `unknown_labels`, `events_outside` the frames
    of their clip, and `pairs` of a clip and a class, of which `pairs_everywhere` are heard in all known frames.

    Args:
        store: the clips.
        strong: a file of events, see `read_events`; "planted" for the witnesses in a synthetic store; None for what
            the store has: the events that `audiobag-prepare strong=` added, otherwise the witnesses.
        ontology: a file in the format of AudioSet's `ontology.json`; None to leave out labels that are not classes.

    Raises:
        ValueError: the file cannot be read, none of its clips is in the store, or the store has no strong labels.
    """
    if strong is None and (stored := stored_events(store)) is not None:
        return _from_events(store, stored)
    if strong is None or str(strong) == PLANTED:
        return _planted(store)
    events = read_events(Path(strong))
    found = find_events(store, events, ontology)
    if not len(found.rows):
        raise InputError(
            f"strong must be about clips of {store.path}, got {strong}, none of whose {len(events.places)} clips it has"
        )
    return _from_events(store, found)


def _planted(store: Store) -> StrongLabels:
    frames, offsets = store.columns.witness_frames, store.columns.witness_offsets
    if frames is None or offsets is None:
        raise InputError(f"strong must be a file of events, since {store.path} has no strong labels of its own")
    labels, lengths = store.labels, store.columns.lengths
    clip, counts = labels.clips, np.diff(offsets)
    good = len(offsets) == len(clip) + 1 and offsets[0] == 0 and offsets[-1] == len(frames) and (counts >= 0).all()
    if not good or (frames < 0).any() or (frames >= np.repeat(lengths[clip], counts)).any():
        raise InputError(f"{store.path} is damaged, its witnesses are not frames of its clips: make it again")
    shows = np.zeros((len(clip), int(lengths.max(initial=1))), np.bool_)
    shows[np.repeat(np.arange(len(clip)), counts), frames] = True
    truth = FrameTruth(lengths, clip, labels.ids.astype(np.int64), shows, store.classes)
    pair, first, last = _runs(shows)
    seconds = store.description.frame_seconds
    events = HeardEvents(truth.clip[pair], truth.label[pair], first * seconds, (last + 1) * seconds)
    return StrongLabels(np.arange(len(store)), truth, events, _counted(store, truth))


def _from_events(store: Store, found: StrongEvents) -> StrongLabels:
    pairs, pair = np.unique(found.clip * store.classes + found.label, return_inverse=True)
    lengths = store.columns.lengths[found.rows]
    limit = lengths[pairs // store.classes]
    seconds, start, end, present = store.description.frame_seconds, found.start, found.end, found.present

    def shown(chosen: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
        return _covered(pair[chosen], start[chosen], end[chosen], limit, seconds) >= least * seconds - _SLACK

    each = _overlap(start, end, limit[pair], seconds, int(lengths.max()))
    most = each.max(1, initial=0)
    brief = present & (most > 0) & (most < OVERLAP * seconds - _SLACK)
    shows = shown(present, OVERLAP)
    shows[pair[brief], each[brief].argmax(1)] = True
    known = shows | shown(~present, 1 - OVERLAP) if found.explicit else None
    kept = shows.any(1) if known is None else known.any(1)
    truth = FrameTruth(
        lengths,
        pairs[kept] // store.classes,
        pairs[kept] % store.classes,
        shows[kept],
        store.classes,
        None if known is None else known[kept],
    )
    heard = present & (most > 0)
    ends = np.minimum(end, lengths[found.clip] * seconds)
    events = HeardEvents(found.clip[heard], found.label[heard], start[heard], ends[heard])
    counts = {
        **_counted(store, truth),
        **found.counts,
        "events_outside": len(np.unique(found.event[most <= 0])),
    }
    return StrongLabels(found.rows, truth, events, counts)


def _counted(store: Store, truth: FrameTruth) -> dict[str, int]:
    everywhere = (truth.shows | ~truth.valid).all(1)
    return {
        "clips": len(truth),
        "clips_without_strong": len(store) - len(truth),
        "pairs": len(truth.clip),
        "pairs_everywhere": int(everywhere.sum()),
    }


def _runs(shows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the row, the first and the last column of each run of true values in the rows of a table."""
    table = np.pad(shows, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(table, axis=1)
    row, first = np.nonzero(change > 0)
    return row, first, np.nonzero(change < 0)[1] - 1


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
