"""The events of a store's clips: found in a file of events, and kept in the store beside the clips.

`audiobag-prepare strong=FILE` adds the group `strong` to a store. It is not part of `content_sha256`, which
identifies the data that a model was trained and scored on.

| data set of `strong` | dtype | shape | meaning |
| --- | --- | --- | --- |
| rows | int64 | [M] | clips of the store that have strong labels, ascending |
| event, clip, label | int64 | [E] | number of the event in the file, its clip (0 to M - 1), and its class |
| start, end | float64 | [E] | in seconds from the start of the clip |
| present | bool | [E] | false where the class is known to be absent |

Attributes: `explicit` (see `Events`), `counts` (JSON), and `mark`, which tells files apart.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from audiobag.data.events import Events, Place
from audiobag.data.store import DatasetInfo, Store
from audiobag.metrics.ontology import nearest_classes
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic
from audiobag.utils.hdf5 import check_links, open_hdf5, read_whole

_GROUP: Final = "strong"
_SAME_START: Final = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class StrongEvents:
    """The group `strong`, see the module's table; an event whose label stands for two classes appears twice."""

    rows: Int64[NDArray[Any], " M"]
    event: Int64[NDArray[Any], " E"]
    clip: Int64[NDArray[Any], " E"]
    label: Int64[NDArray[Any], " E"]
    start: Float64[NDArray[Any], " E"]
    end: Float64[NDArray[Any], " E"]
    present: Bool[NDArray[Any], " E"]
    explicit: bool
    counts: dict[str, int]


_ARRAYS: Final = {
    **dict.fromkeys(("rows", "event", "clip", "label"), np.int64),
    **dict.fromkeys(("start", "end"), np.float64),
    "present": np.bool_,
}
"""The arrays of `StrongEvents`, with their types."""


def find_events(store: Store, events: Events, ontology: str | Path | None = None) -> StrongEvents:
    """Return the events that are about clips of a store and have a known label; see `strong_labels`.

    Raises:
        ValueError: the ontology cannot be read.
    """
    row = _rows(store, events.places)
    rows = np.unique(row[row >= 0])
    names = sorted(set(events.label))
    classes = dict(zip(names, _classes(store.description, names, ontology), strict=True))
    here = row[events.clip] >= 0
    times = np.array([len(classes[label]) for label in events.label], np.int64)
    of = np.repeat(np.arange(len(times)), np.where(here, times, 0))  # an event for each of the classes of its label
    counts = {
        "clips_not_in_store": int((row < 0).sum()),
        "events": int((here & (times > 0)).sum()),
        "events_of_unknown_labels": int((here & (times == 0)).sum()),
        "unknown_labels": sum(not found for found in classes.values()),
    }
    return StrongEvents(
        rows,
        of,
        np.searchsorted(rows, row[events.clip[of]]),
        np.array([k for e in np.flatnonzero(here).tolist() for k in classes[events.label[e]]], np.int64),
        events.start[of],
        events.end[of],
        events.present[of],
        events.explicit,
        counts,
    )


def add_events(path: Path, found: StrongEvents, mark: str) -> None:
    """Keep events in a store, in place of those that it has; processes that read the store are not disturbed.

    The file is copied, which takes as long as copying its frames.
    """
    with atomic(path) as temporary:
        shutil.copyfile(path, temporary)
        with open_hdf5(temporary, "r+") as file:
            if _GROUP in file:
                del file[_GROUP]
            group = file.create_group(_GROUP)
            for name in _ARRAYS:
                group[name] = getattr(found, name)
            group.attrs["explicit"] = found.explicit
            group.attrs["counts"] = json.dumps(found.counts)
            group.attrs["mark"] = mark


def mark_of(store: Store) -> str | None:
    """Return the mark of the file whose events a store has; None if it has none."""
    with open_hdf5(store.path) as file:
        return str(file[_GROUP].attrs.get("mark")) if _GROUP in file else None


def stored_events(store: Store) -> StrongEvents | None:
    """Return the events that `add_events` left in a store; None if there are none.

    Raises:
        ValueError: they are damaged.
    """
    try:
        with open_hdf5(store.path) as file:
            if _GROUP not in file:
                return None
            group = file[_GROUP]
            check_links(group)
            arrays = {name: read_whole(group[name]) for name in _ARRAYS}
            counts = {str(name): int(count) for name, count in json.loads(group.attrs["counts"]).items()}
            explicit = bool(group.attrs["explicit"])
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{store.path} has damaged strong labels ({error}): add them again") from error
    if not _good(store, arrays):
        raise InputError(f"{store.path} has damaged strong labels, which are not of its clips: add them again")
    return StrongEvents(**arrays, explicit=explicit, counts=counts)


def _good(store: Store, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether arrays from a file are those of events of a store's clips."""
    if any(arrays[name].dtype != dtype or arrays[name].ndim != 1 for name, dtype in _ARRAYS.items()):
        return False
    rows, _, clip, label, start, end, _ = arrays.values()
    return bool(
        len({len(x) for name, x in arrays.items() if name != "rows"}) == 1
        and len(rows)
        and rows[0] >= 0
        and rows[-1] < len(store)
        and (np.diff(rows) > 0).all()
        and ((clip >= 0) & (clip < len(rows))).all()
        and ((label >= 0) & (label < store.classes)).all()
        and ((start >= 0) & (start <= end) & np.isfinite(end)).all()
    )


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
