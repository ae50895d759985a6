"""`prepare`: from a source of any kind to one store per split; either all stores are written or none."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from audiobag.data.store import Store, open_store
from audiobag.prepare.gather import Split
from audiobag.prepare.locate import Located, locate
from audiobag.prepare.source import Advance, Rejects, Source
from audiobag.prepare.summary import SplitSummary, Summary
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_writable, locked
from audiobag.utils.values import check_choice

_MAX_SPLITS = 64
_SECONDS_BETWEEN_UPDATES = 0.1
# Separates names of splits in an attribute of the stores; no file name contains it.
_SEPARATOR: Final = "/"


def prepare(
    source: str,
    out: Path,
    *,
    size: str = "small",
    force: bool = False,
    on_error: str = "stop",
    console: Console | None = None,
) -> Summary:
    """Write one store for each split of `source` into `out`; do nothing if these stores exist already.

    All splits are read and written to a temporary folder before the first is moved into place, so a run that stops
    leaves `out` unchanged. Clips are sorted by video id: the stores of a release do not depend on how it is packed.

    Args:
        source: `synthetic`; a folder of `*.tfrecord` shards, a `.tar` or `.tar.gz` of them, or one shard; an HDF5
            or NPZ file of arrays as described in `audiobag.prepare.tables`, or a folder of such files; a folder of
            `.npy` files with a CSV of labels; Parquet files; a data set of Hugging Face on disk; or the http(s)
            address of a file. The official one,
            http://storage.googleapis.com/us_audioset/youtube_corpus/v1/features/features.tar.gz, has 2.4 GB.
            Downloads are kept in `<out>/.download`.
        out: folder for the stores.
        size: size of the synthetic data set: "tiny", "small" or "full".
        force: prepare again even if nothing has changed.
        on_error: "stop" at the first bad record, or "skip" bad records and list them in `<out>/rejected.csv`.
        console: shows the progress; standard error by default.

    Raises:
        ValueError: the source is missing, unreadable or of an unknown kind, or has a bad record.
    """
    return write_stores(locate(source, size), out, force=force, on_error=on_error, console=console)


def write_stores(
    located: Located, out: Path, *, force: bool = False, on_error: str = "stop", console: Console | None = None
) -> Summary:
    """Write one store for each split of a source that has been found; see `prepare`.

    Args:
        located: the source.
        out: folder for the stores.
        force: write again even if nothing has changed.
        on_error: "stop" at the first bad record, or "skip" bad records and list them in `<out>/rejected.csv`.
        console: shows the progress; standard error by default.

    Raises:
        ValueError: the source has a bad record, or no good one.
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    started = time.perf_counter()
    if not force and (stores := _prepared(out, located.fingerprint, on_error)):  # reads only, so it needs no lock
        return _summary(out, stores, started, unchanged=True)
    check_writable(out)
    busy = f"another audiobag command is writing to {out}: wait until it has finished, or choose another folder"
    with locked(out / ".prepare.lock", busy):
        if not force and (stores := _prepared(out, located.fingerprint, on_error)):  # by another process meanwhile
            return _summary(out, stores, started, unchanged=True)
        rejects = Rejects(on_error)
        with _work_folder(out) as work, _progress(console or Console(stderr=True)) as progress:
            opened = located.open(out / ".download", progress)
            gathered = _gather(opened, out, work, rejects, progress)
            _write(gathered, out, work, rejects, located, progress)
        rejects.write(out / "rejected.csv")
        written = {split.name: open_store(out / f"{split.name}.h5") for split in gathered}
        return _summary(out, written, started, unchanged=False)


def _gather(source: Source, out: Path, work: Path, rejects: Rejects, progress: Progress) -> list[Split]:
    """Read the source; return the splits that have clips."""
    splits: dict[str, Split] = {}
    with _meter(progress, "reading", source.size) as advance:
        for part in source.parts(rejects, advance):
            if part.split not in splits:
                if len(splits) == _MAX_SPLITS:
                    raise InputError(f"more than {_MAX_SPLITS} folders contain shards, expected one folder per split")
                _check_target(out / f"{part.split}.h5", source)
                splits[part.split] = Split(part, work / f"{part.split}.frames")
            splits[part.split].add(part, rejects)
    gathered = [split for _, split in sorted(splits.items()) if len(split)]
    if not gathered:
        first = rejects.found[0] if rejects.found else None
        named = f"; the first is {first.file}: {first.finding}" if first else ""
        raise InputError(f"the source has no good record, but {len(rejects.found):,} bad ones{named}")
    return gathered


def _write(splits: list[Split], out: Path, work: Path, rejects: Rejects, located: Located, progress: Progress) -> None:
    """Sort all splits, write all of them, then move all into place."""
    for split in splits:
        split.sort(rejects)
    common = {
        "source_fingerprint": located.fingerprint,
        "splits": _SEPARATOR.join(split.name for split in splits),
        "rejected_in_all": len(rejects.found),
    }
    with _meter(progress, "writing", sum(split.frame_bytes for split in splits)) as advance:
        for split in splits:
            attributes = {**common, "rejected": rejects.count(split.name)}
            split.write(work / f"{split.name}.h5", attributes, advance)
    for split in splits:
        (work / f"{split.name}.h5").replace(out / f"{split.name}.h5")


def _prepared(out: Path, fingerprint: str, on_error: str) -> dict[str, Store]:
    """Return the stores that an earlier run wrote from the same source, or none unless all of them are intact.

    A run with `on_error="stop"` does not accept stores from which bad records were left out.
    """
    stores: dict[str, Store] = {}
    splits: set[str] = set()
    for path in sorted(out.glob("*.h5")):
        try:
            store = open_store(path)
        except InputError:
            continue
        found = store.attributes
        if found.get("source_fingerprint") != fingerprint:
            continue
        if on_error == "stop" and found["rejected_in_all"]:
            return {}
        stores[path.stem] = store
        splits.update(str(found["splits"]).split(_SEPARATOR))
    return stores if splits == set(stores) else {}


def _summary(out: Path, stores: dict[str, Store], started: float, *, unchanged: bool) -> Summary:
    splits = tuple(SplitSummary.of(name, store) for name, store in stores.items())
    rejected = max(int(store.attributes["rejected_in_all"]) for store in stores.values())
    return Summary(out, splits, rejected, time.perf_counter() - started, unchanged)


def _check_target(target: Path, source: Source) -> None:
    folder = target.parent.resolve()
    if any(path.name == target.name and path.parent.resolve() == folder for path in source.paths):
        raise InputError(f"the store would overwrite its own source {target}: choose another folder for the stores")


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder on the same file system, removed at the end; remove those of killed runs first."""
    for leftover in out.glob(".preparing*"):  # another user's cannot be removed
        shutil.rmtree(leftover, ignore_errors=True)
    work = out / f".preparing-{uuid4().hex[:8]}"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console)


@contextmanager
def _meter(progress: Progress, description: str, total: int) -> Iterator[Advance]:
    """Yield a function that advances a progress bar in bytes, which is redrawn at most ten times a second."""
    task = progress.add_task(description, total=total)
    waiting, due = 0, 0.0

    def advance(size: int) -> None:
        nonlocal waiting, due
        waiting += size
        if (now := time.monotonic()) >= due:
            progress.advance(task, waiting)
            waiting, due = 0, now + _SECONDS_BETWEEN_UPDATES

    yield advance
    progress.update(task, completed=total)
