"""`prepare`: from a source, whatever its kind, to one store for each split; all of them or none."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from audiobag.errors import UserError
from audiobag.files import locked
from audiobag.prepare.gather import Split
from audiobag.prepare.locate import Located, locate
from audiobag.prepare.reading import read_pieces, worthwhile_processes
from audiobag.prepare.source import Rejects, Source
from audiobag.prepare.summary import SplitSummary, Summary
from audiobag.store import Store, open_store
from audiobag.values import check_choice, check_flag, check_whole

_MAX_SPLITS = 64
_SECONDS_BETWEEN_UPDATES = 0.1
# In the attribute that lists the splits of a run: no name of a file has it.
_SEPARATOR: Final = "/"


def prepare(
    source: str,
    out: Path,
    *,
    size: str = "small",
    force: bool = False,
    on_error: str = "stop",
    processes: int = 1,
    console: Console | None = None,
) -> Summary:
    """Write one store for each split of `source` into `out`; where they are already, do nothing.

    All splits are read and written aside before the first is put in place, so a run that stops leaves `out` as
    it was. Clips stand in the order of their video ids: however a release is packed, its stores are the same.

    Args:
        source: `synthetic`; a folder of `*.tfrecord` shards, a `.tar` or `.tar.gz` of them, or one shard; an HDF5
            or NPZ file of arrays, as `audiobag.prepare.tables` has them, or a folder of such files; or the http(s)
            address of such a file. The official one,
            http://storage.googleapis.com/us_audioset/youtube_corpus/v1/features/features.tar.gz, has 2.4 GB;
            what is downloaded is kept in `<out>/.download`.
        out: the folder of the stores.
        size: of the synthetic set.
        force: do it again even if nothing has changed.
        on_error: "stop" at the first bad record, or "skip" it and list it in `<out>/rejected.csv`.
        processes: that read, at most, where the source is large enough for several; the stores are the same. More
            than one begin by importing the main script, whose work must stand behind `if __name__ == "__main__"`.
        console: shows the progress; standard error by default.

    Raises:
        UserError: the source is missing, unreadable or of no known kind, or has a bad record.
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    check_whole("processes", processes)
    check_flag("force", force)
    started = time.perf_counter()
    located = locate(source, size)
    _make_folder(out)
    with locked(
        out / ".prepare.lock", f"another audiobag-prepare writes into {out}: wait for it, or give another out="
    ):
        stores = {} if force else _prepared(out, located.fingerprint, on_error)
        if stores:
            splits, rejected = _summarise(stores)
            return Summary(out, splits, rejected, time.perf_counter() - started, unchanged=True)
        rejects = Rejects(on_error)
        with _work_folder(out) as work, _progress(console or Console(stderr=True)) as progress:
            opened = located.open(out / ".download", progress)
            gathered = _gather(opened, out, work, rejects, processes, progress)
            _write(gathered, out, work, rejects, located, progress)
        rejects.write(out / "rejected.csv")
        splits, _ = _summarise({split.name: open_store(out / f"{split.name}.h5") for split in gathered})
        return Summary(out, splits, len(rejects.found), time.perf_counter() - started, unchanged=False)


def _gather(source: Source, out: Path, work: Path, rejects: Rejects, processes: int, progress: Progress) -> list[Split]:
    """Read everything; return the splits that have clips."""
    splits: dict[str, Split] = {}
    with _Meter(progress, "reading", source.size) as advance:
        processes = worthwhile_processes(processes, source.size)
        with closing(read_pieces(source.pieces(advance), work, rejects.on_error, advance, processes)) as readings:
            for blocks, rejected in readings:
                rejects.found += rejected
                for block in blocks:
                    if block.split not in splits:
                        if len(splits) == _MAX_SPLITS:
                            raise UserError(f"more than {_MAX_SPLITS} folders have shards, expected one for each split")
                        _check_target(out / f"{block.split}.h5", source)
                        splits[block.split] = Split(block)
                    splits[block.split].add(block, rejects)
    gathered = [split for _, split in sorted(splits.items()) if len(split)]
    if not gathered:
        first = rejects.found[0] if rejects.found else None
        named = f", the first {first.file}: {first.finding}" if first else ""
        raise UserError(f"no good record is left of {len(rejects.found):,} bad ones{named}; nothing was written")
    return gathered


def _write(splits: list[Split], out: Path, work: Path, rejects: Rejects, located: Located, progress: Progress) -> None:
    """Sort all splits, write them all, then put all in place."""
    for split in splits:
        split.sort(rejects)
    common = {
        "source_fingerprint": located.fingerprint,
        "splits": _SEPARATOR.join(split.name for split in splits),
        "rejected_in_all": len(rejects.found),
    }
    with _Meter(progress, "writing", sum(split.frame_bytes for split in splits)) as advance:
        for split in splits:
            attributes = {**common, "rejected": rejects.count(split.name)}
            split.write(work / f"{split.name}.h5", attributes, advance)
    for split in splits:
        (work / f"{split.name}.h5").replace(out / f"{split.name}.h5")


def _prepared(out: Path, fingerprint: str, on_error: str) -> dict[str, Store]:
    """Return the stores that an earlier run made of this very source; none unless all are whole.

    A run that is to stop at bad records does not take the stores of one that left some out.
    """
    stores: dict[str, Store] = {}
    splits: set[str] = set()
    for path in sorted(out.glob("*.h5")):
        try:
            store = open_store(path)
        except UserError:
            continue
        found = store.attributes
        if found.get("source_fingerprint") != fingerprint:
            continue
        if on_error == "stop" and found["rejected_in_all"]:
            return {}
        stores[path.stem] = store
        splits.update(str(found["splits"]).split(_SEPARATOR))
    return stores if splits == set(stores) else {}


def _summarise(stores: dict[str, Store]) -> tuple[tuple[SplitSummary, ...], int]:
    """Return a summary of each store, and the number of records that the run left out."""
    splits = tuple(SplitSummary.of(name, store) for name, store in stores.items())
    return splits, max(int(store.attributes["rejected_in_all"]) for store in stores.values())


def _check_target(target: Path, source: Source) -> None:
    folder = target.parent.resolve()
    if any(path.name == target.name and path.parent.resolve() == folder for path in source.paths):
        raise UserError(f"the store would replace its own source, {target}: give another folder with out=")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={out} cannot be made ({error.strerror}): give a folder that can") from error


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder on the same file system, removed in the end; a killed run's goes first."""
    work = out / ".preparing"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console)


class _Meter:
    """A bar of a known number of bytes, drawn at most ten times a second however often it advances."""

    def __init__(self, progress: Progress, description: str, total: int) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(description, total=total)
        self._total = total
        self._waiting = 0
        self._due = 0.0

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._progress.update(self._task, completed=self._total)

    def __call__(self, size: int) -> None:
        self._waiting += size
        now = time.monotonic()
        if now >= self._due:
            self._progress.advance(self._task, self._waiting)
            self._waiting, self._due = 0, now + _SECONDS_BETWEEN_UPDATES
