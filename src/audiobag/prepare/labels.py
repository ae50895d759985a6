"""Labels of recordings: what is heard in each, at which times where that is known, and to which split it belongs."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from audiobag.labels import audioset_classes
from audiobag.prepare.listing import file_column, read_rows
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable

FOLDERS: Final = "folders"
PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    "esc50": ("meta/esc50.csv",),
    "fsd50k": ("FSD50K.ground_truth/dev.csv", "FSD50K.ground_truth/eval.csv"),
}
"""Data sets whose layout is known: their CSV files, in the folder that `source` names."""

_ONE: Final = ("label", "category", "class", "event_label", "tag")
_SEVERAL: Final = ("labels", "classes", "tags", "event_labels")
_START: Final = ("start", "start_seconds", "start_time_seconds", "onset", "begin", "start_time")
_END: Final = ("end", "end_seconds", "end_time_seconds", "offset", "stop", "end_time")
_SPLIT: Final = ("split", "subset", "set")
_FOLD: Final = ("fold",)
_IGNORED: Final = ("mids", "mid", "target", "esc10", "src_file", "take", "index", "duration", "license")
_SEGMENTS: Final = "# YTID"
SPLITS: Final = {
    **dict.fromkeys(("train", "training", "dev", "development", "balanced_train", "bal_train"), "bal_train"),
    **dict.fromkeys(("unbalanced_train", "unbal_train"), "unbal_train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "eval", "evaluation", "testing"), "eval"),
}
"""Names of splits in other data sets, and the store that each stands for."""


class Event(NamedTuple):
    """A label, and when it is heard in seconds of its recording; NaN if unknown."""

    label: str
    start: float = math.nan
    end: float = math.nan


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is known of a recording: its events, the split that it belongs to and its fold, None if unknown."""

    events: tuple[Event, ...]
    split: str | None = None
    fold: str | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of recordings.

    Attributes:
        of: by the name of a recording.
        class_names: K names.
        class_mids: K machine ids, empty where there is none.
        without_file: files of rows that the source does not have.
        without_labels: recordings without a row, which are left out.
    """

    of: Mapping[str, Labelled]
    class_names: tuple[str, ...]
    class_mids: tuple[str, ...]
    without_file: tuple[str, ...] = ()
    without_labels: tuple[str, ...] = ()

    def events(self, name: str) -> tuple[Event, ...]:
        """Return the events of a recording; none if it has no labels."""
        return self.of[name].events if name in self.of else ()

    def indices(self) -> dict[str, int]:
        """Return the class of each label, which is a name or a machine id."""
        known = {mid: k for k, mid in enumerate(self.class_mids) if mid}
        return known | {name: k for k, name in enumerate(self.class_names)}


NO_LABELS: Final = Labels({}, (), ())


def read_labels(labels: Sequence[str | Path], files: Mapping[str, Path], root: Path) -> Labels:
    """Read the labels of files, one for each recording.

    Args:
        labels: CSV files; or "folders", for the name of the folder of each file; or a preset, "esc50" or "fsd50k". A
            CSV has a line of column names: the file (`file`, `filename`, `fname`, ...); `label` or `category` with one
            label, or `labels` with several, separated by `;` or else by commas, or one column of 0 and 1 for each
            class; optionally `start` and `end` in seconds (or `onset` and `offset`), `split` and `fold`. A recording
            may have several rows. AudioSet's files of segments are read too.
        files: path of each recording, by its name.
        root: folder of the source, which a preset's files are in.

    Raises:
        ValueError: a file cannot be read, or none of its rows is about one of the recordings.
    """
    if list(labels) == [FOLDERS]:
        return _of_folders(files)
    preset = any(str(one) in PRESETS for one in labels)
    names = [name for one in labels for name in PRESETS.get(str(one), (str(one),))]
    paths = [root / name if preset else Path(name) for name in names]
    if preset and (missing := next((path for path in paths if not path.is_file()), None)):
        raise InputError(f"labels={labels[0]} needs {missing}, which is not there: give its folder as the source")
    rows = [row for path in paths for row in (_segments(path) if _is_segments(path) else _table(path))]
    return _matched(rows, files, ", ".join(map(str, paths)))


class _Row(NamedTuple):
    file: str
    events: tuple[Event, ...]
    split: str | None
    fold: str | None


def _of_folders(files: Mapping[str, Path]) -> Labels:
    of = {}
    for name, path in files.items():
        folder = PurePosixPath(name).parent.name or path.resolve().parent.name
        of[name] = Labelled((Event(folder),))
    names = tuple(sorted({one.events[0].label for one in of.values()}))
    if len(names) < 2:
        raise InputError(f"labels=folders needs a folder per class, got only {names[0]}: give the folder above it")
    return Labels(of, names, ("",) * len(names))


def _is_segments(path: Path) -> bool:
    check_readable(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            return any(line.startswith(_SEGMENTS) for _, line in zip(range(4), file))
    except (OSError, UnicodeDecodeError) as error:
        reason = "there is no such file" if not path.exists() else f"{type(error).__name__}: {error}"
        raise InputError(
            f"labels must be CSV files, {FOLDERS}, {' or '.join(PRESETS)}, got {path} ({reason})"
        ) from error


def _segments(path: Path) -> list[_Row]:
    """Read AudioSet's CSV of segments: a video id, start, end, and quoted machine ids."""
    split = SPLITS.get(path.stem.removesuffix("_segments"))
    rows = []
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line and not line.startswith("#")]
    for number, cells in enumerate(csv.reader(lines, skipinitialspace=True), 1):
        if len(cells) != 4:
            raise InputError(f"labels has a segment with {len(cells)} cells, expected 4: {path}, segment {number}")
        events = tuple(Event(mid.strip()) for mid in cells[3].split(",") if mid.strip())
        rows.append(_Row(cells[0], events, split, None))
    return rows


def _table(path: Path) -> list[_Row]:
    rows = read_rows("labels", path)
    file = file_column("labels", path, rows)
    names = {name.lower(): name for name in rows[0]}

    def column(known: Sequence[str]) -> str | None:
        return next((names[name] for name in known if name in names), None)

    start, end, split, fold = (column(known) for known in (_START, _END, _SPLIT, _FOLD))
    if (start is None) != (end is None):
        raise InputError(f"labels must have both a start and an end, or neither, got {path} with {', '.join(names)}")
    label = _reader(path, rows, [file, start, end, split, fold], column(_ONE), column(_SEVERAL))
    default = SPLITS.get(path.stem)
    found = []
    for number, row in enumerate(rows, 2):
        times = (math.nan, math.nan) if start is None or end is None else _times(path, number, row[start], row[end])
        events = tuple(Event(one, *times) for one in label(row))
        if not row[file].strip():
            raise InputError(f"labels has a row without a file: {path}, line {number}")
        side = SPLITS.get(row[split].strip().lower(), row[split].strip()) if split else default
        found.append(_Row(row[file].strip(), events, side or None, row[fold].strip() if fold else None))
    return found


def _reader(
    path: Path,
    rows: Sequence[Mapping[str, str]],
    used: Sequence[str | None],
    one: str | None,
    several: str | None,
) -> Callable[[Mapping[str, str]], list[str]]:
    """Return a function from a row to its labels."""
    if one is not None:
        return lambda row: [row[one].strip()] if row[one].strip() else []
    if several is not None:

        def split(row: Mapping[str, str]) -> list[str]:
            cell = row[several]
            return [name.strip() for name in cell.split(";" if ";" in cell else ",") if name.strip()]

        return split
    classes = [name for name in rows[0] if name not in used and name.lower() not in _IGNORED]
    for number, row in enumerate(rows, 2):
        for name in classes:
            if row[name].strip() not in ("0", "1", "0.0", "1.0"):
                raise InputError(
                    f"labels must have a column label, or columns of 0 and 1, got {path}, whose column {name} has"
                    f" {row[name]!r} in line {number}"
                )
    if not classes:
        raise InputError(
            f"labels must have a column label, or columns of 0 and 1, got {path} with {', '.join(rows[0])}"
        )
    return lambda row: [name for name in classes if float(row[name]) == 1]


def _times(path: Path, number: int, start: str, end: str) -> tuple[float, float]:
    if not start.strip() and not end.strip():
        return math.nan, math.nan
    try:
        a, b = float(start), float(end)
    except ValueError:
        a, b = math.nan, math.nan
    if not 0 <= a <= b < math.inf:
        raise InputError(f"labels has an event from {start!r} to {end!r} s, expected 0 or more: {path}, line {number}")
    return a, b


def _matched(rows: Sequence[_Row], files: Mapping[str, Path], where: str) -> Labels:
    index = _Index(files)
    events: dict[str, list[Event]] = {}
    places: dict[str, tuple[str | None, str | None]] = {}
    missing: dict[str, None] = {}
    for row in rows:
        name = index.find(row.file)
        if name is None:
            missing[row.file] = None
            continue
        events.setdefault(name, []).extend(row.events)
        place = row.split, row.fold
        if places.setdefault(name, place) != place:
            raise InputError(f"labels has {row.file} in {_place(places[name])} and in {_place(place)}: {where}")
    if not events:
        raise InputError(
            f"labels must be about the recordings of the source, got {where}: the source has none of its"
            f" {len(missing):,} files; the first is {next(iter(missing), None)}, the source has {next(iter(files))}"
        )
    names, mids = _classes({event.label for several in events.values() for event in several})
    return Labels(
        {name: Labelled(tuple(several), *places[name]) for name, several in events.items()},
        names,
        mids,
        tuple(missing),
        tuple(name for name in files if name not in events),
    )


def _classes(labels: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and machine ids: AudioSet's 527 classes if all labels are machine ids of it."""
    audioset = audioset_classes()
    if labels and labels <= set(audioset.mids):
        return audioset.names, audioset.mids
    names = tuple(sorted(labels))
    return names, ("",) * len(names)


def _place(place: tuple[str | None, str | None]) -> str:
    split, fold = place
    return f"split {split}" if fold is None else f"fold {fold}"


class _Index:
    """Finds the recording that a cell names: by its path, its file name, its name without suffix, or a YouTube id."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._names: dict[str, str | None] = {}
        for name, file in files.items():
            path = PurePosixPath(name)
            keys = {name, str(path.with_suffix("")), path.name, path.stem, str(file)}
            stem = path.stem
            # AudioSet's clips are named Y<id>.wav, <id>.wav, or with the start and the end after the id.
            parts = stem.rsplit("_", 2)
            if len(parts) == 3 and all(part.replace(".", "").isdecimal() for part in parts[1:]):
                keys |= {parts[0], parts[0][1:] if parts[0].startswith("Y") else parts[0]}
            if len(stem) == 12 and stem.startswith("Y"):
                keys.add(stem[1:])
            for key in keys:
                taken = self._names.get(key, name)
                self._names[key] = name if taken == name else None  # ambiguous
        self._names.update((name, name) for name in files)

    def find(self, cell: str) -> str | None:
        cell = cell.replace("\\", "/").removeprefix("./")
        keys = (cell, PurePosixPath(cell).name, PurePosixPath(cell).stem)
        return next((name for key in keys if (name := self._names.get(key)) is not None), None)
