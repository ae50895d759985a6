"""The file system of outputs and stores: space, locks, atomic renames, flushes, mapped files and its clock."""

from __future__ import annotations

import fcntl
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Final

import numpy as np

from audiobag.doctor.elsewhere import Elsewhere
from audiobag.doctor.finding import Finding, Verdict, failed, ok, warning
from audiobag.utils.files import atomic

_GIB: Final = 2**30
_RENAMES: Final = 100
_LOCK: Final = """
import fcntl, sys
with open(sys.argv[1], "ab") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("excluded")
"""
_READ: Final = """
import pathlib, sys, time
path, end = map(pathlib.Path, sys.argv[1:])
print("reading", flush=True)
wrong = reads = 0
deadline = time.monotonic() + 50
while not end.exists() and time.monotonic() < deadline:
    try:
        content = path.read_bytes()
        wrong += len(content) != 65536 or len(set(content)) != 1
    except OSError:
        wrong += 1
    reads += 1
print(wrong, reads)
"""
_MAP: Final = """
import sys, numpy
print(int(numpy.memmap(sys.argv[1], numpy.uint8, "r").sum(dtype=numpy.int64)))
"""


def space(folder: Path) -> Finding:
    """Report which file system a folder is on, and how much space is free."""
    free = shutil.disk_usage(folder).free / _GIB
    kind = _kind(folder)
    told = f"{folder} on {kind}, {free:,.0f} GiB free" if kind else f"{folder}, {free:,.0f} GiB free"
    return Finding(Verdict.WARNING if free < 1 else Verdict.OK, told)


def locks(folder: Path, elsewhere: Elsewhere) -> Finding:
    """Check that a lock keeps another process out."""
    path = folder / "lock"
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return warning(f"no file locks ({error.strerror}): start one command at a time in a folder")
        code, said = elsewhere.run(_LOCK, str(path))
    if said == "excluded":
        return ok(f"{elsewhere.name} exclude each other")
    if code:
        return failed(f"the second process failed: {said[-200:]}")
    return warning(f"{elsewhere.name} do not exclude each other: start one command at a time in a folder")


def renames(folder: Path, elsewhere: Elsewhere) -> Finding:
    """Check that a reader finds the old content of a file or the new one while it is replaced, and nothing else."""
    path, end = folder / "renamed", folder / "end"
    _write(path, 0)
    with elsewhere.start(_READ, str(path), str(end)) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for number in range(_RENAMES):
            _write(path, number % 256)
        end.touch()
        wrong, _, reads = reader.stdout.read().strip().partition(" ")
    if wrong == "0":
        return ok(f"{_RENAMES} replacements, {reads} reads, each of a whole file ({elsewhere.name})")
    return warning(f"{wrong} of {reads} reads met no file or a part of one ({elsewhere.name}): a report may fail")


def flushes(folder: Path) -> Finding:
    """Time a write of 1 MiB that is flushed to the disk, as each checkpoint is."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        with atomic(folder / "flushed") as temporary:
            temporary.write_bytes(bytes(2**20))
        seconds.append(time.perf_counter() - begun)
    middle = statistics.median(seconds)
    slow = middle > 1
    told = f"{1000 * middle:.0f} ms for 1 MiB" + (": raise callbacks.checkpoints.every" if slow else "")
    return Finding(Verdict.WARNING if slow else Verdict.OK, told)


def maps(folder: Path, elsewhere: Elsewhere) -> Finding:
    """Check that another process that maps a file finds what was written, as loaders map stores."""
    content = np.random.default_rng(0).integers(0, 256, 8 * 2**20, dtype=np.uint8)
    path = folder / "mapped"
    with atomic(path) as temporary:
        temporary.write_bytes(content.tobytes())
    begun = time.perf_counter()
    code, said = elsewhere.run(_MAP, str(path))
    if code == 0 and said == str(int(content.sum(dtype=np.int64))):
        return ok(f"8 MiB read whole, {time.perf_counter() - begun:.1f} s ({elsewhere.name})")
    return failed(f"a mapped file has other content ({said[-200:]}): use data.placement=memory")


def clock(folder: Path) -> Finding:
    """Compare the clock of the file system with that of this machine; audiobag-status needs both."""
    path = folder / "clock"
    before = time.time()
    path.write_bytes(b"x")
    off = path.stat().st_mtime - (before + time.time()) / 2
    if abs(off) < 5:
        return ok(f"the file system's is {abs(off):.1f} s away")
    return Finding(
        Verdict.WARNING if abs(off) < 120 else Verdict.FAILED,
        f"the file system's is {off:+.0f} s away: audiobag-status may take a running job for a failed one; use NTP",
    )


def stores(folder: Path) -> Finding:
    """Open the stores in a folder and read their first and last clips."""
    from audiobag.data.store import open_store

    found = sorted(folder.glob("*.h5"))
    if not found:
        return failed(f"no store in {folder}: audiobag-prepare makes them")
    begun, clips = time.perf_counter(), 0
    for path in found:
        store = open_store(path)
        store.frames[[0, -1]].sum()  # from the file
        clips += len(store)
    return ok(f"{len(found)} stores, {clips:,} clips, opened in {time.perf_counter() - begun:.1f} s")


def _write(path: Path, value: int) -> None:
    temporary = path.with_name("renaming")
    temporary.write_bytes(bytes([value]) * 65536)
    temporary.replace(path)


def _kind(folder: Path) -> str:
    """Return the type of the file system of a folder, on Linux."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mounts = [line.split()[1:3] for line in lines if len(line.split()) > 2]
    place = str(folder.resolve())
    fits = [(point, kind) for point, kind in mounts if point == "/" or f"{place}/".startswith(f"{point}{os.sep}")]
    return max(fits, key=lambda one: len(one[0]), default=("", ""))[1]
