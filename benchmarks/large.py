"""Two million clips: prepare, memory of training, first step."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from audiobag.prepare.records import frame_record
from benchmarks.measure import Row
from benchmarks.prepare import video_id, write_release
from benchmarks.startup import seconds_to_first_step
from benchmarks.stores import FULL, random_store

_PER_SHARD = 512


def multiply_release(source: Path, folder: Path, clips: int = FULL) -> Path:
    """Write (once) shards of so many clips: those of `source`, by `write_release`, again and again under other ids."""
    if folder.exists():
        return folder
    payloads = []
    for shard in sorted(source.rglob("*.tfrecord")):
        data, place = shard.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            payloads.append(data[place + 12 : place + 12 + length])
            place += length + 16
    at = [payload.index(video_id(i)) for i, payload in enumerate(payloads)]
    written = folder.with_suffix(".part")
    (written / "bal_train").mkdir(parents=True, exist_ok=True)
    for shard in range(-(-clips // _PER_SHARD)):
        records = []
        for i in range(shard * _PER_SHARD, min(clips, (shard + 1) * _PER_SHARD)):
            k = i % len(payloads)
            records.append(frame_record(payloads[k][: at[k]] + video_id(i) + payloads[k][at[k] + len(video_id(k)) :]))
        (written / "bal_train" / f"{shard:05}.tfrecord").write_bytes(b"".join(records))
    written.rename(folder)
    return folder


def prepare_seconds(work: Path) -> tuple[float, float]:
    """Return the seconds and the largest resident memory in MiB of audiobag-prepare."""
    release = multiply_release(write_release(work / "release"), work / "full")
    out = work / "full-out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "audiobag.cli.prepare", f"source={release}", f"out={out}"]
    command += [f"hydra.run.dir={work / 'prepare-run'}"]
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("audiobag-prepare failed")
    return time.perf_counter() - before, used.ru_maxrss / 1024


def training_memory(work: Path, *overrides: str) -> list[dict[str, float]]:
    """Return, for each process of a training at work, GiB by kind: Rss, Pss (shared pages divided), Pss_Anon."""
    run = work / "large-run"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "audiobag.cli.train", f"data.root={work}", "trainer.max_steps=100000"]
    command += ["data.val_fraction=0", "sampler=uniform", f"hydra.run.dir={run}", *overrides]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        # Until the random draws have touched nearly every page: a fault maps those around it too.
        while process.poll() is None and steps_done(run) < 200:
            time.sleep(1)
        ranks = [p for p in Path("/proc").glob("[0-9]*") if f"hydra.run.dir={run}" in _read(p / "cmdline")]
        found = [_gib(_read(rank / "smaps_rollup")) for rank in ranks]
        for rank in ranks:
            os.kill(int(rank.name), signal.SIGKILL)
    return found


def steps_done(run: Path) -> int:
    """Return how far a run says it is."""
    text = _read(run / "progress.json")
    return int(json.loads(text)["step"]) if text else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not there yet, or a process that has ended
        return ""


def _gib(rollup: str) -> dict[str, float]:
    lines = (line.split() for line in rollup.splitlines()[1:])
    return {kind.rstrip(":"): int(kib) / 2**20 for kind, kib, *_ in lines}


def run(work: Path) -> list[Row]:
    """Measure; takes about ten minutes and 8 GB of disk."""
    took, resident = prepare_seconds(work)
    large = work / "large"
    random_store(large / "bal_train.h5", FULL)
    random_store(large / "eval.h5", 500, seed=1)
    first = seconds_to_first_step(large)
    (one,) = training_memory(large)
    two = training_memory(large, "trainer=ddp_cpu", "threads=1")
    return [
        Row(f"prepare {FULL:,} clips from shards", took, "s", goal="under 180 s"),
        Row("largest resident memory of prepare, mapped pages included", resident, "MiB"),
        Row("command to first optimiser step", first, "s", goal="under 15 s"),
        Row("memory of training, one process, mapped pages included", one["Rss"], "GiB", goal="under 3.5 GiB"),
        Row("of which its own (anonymous)", one["Pss_Anon"], "GiB"),
        Row("two ranks together, shared pages once", sum(r["Pss"] for r in two), "GiB", goal="no second 2.5 GiB"),
        Row("its own (anonymous), each of two ranks at most", max(r["Pss_Anon"] for r in two), "GiB"),
    ]
