"""Two million clips: preparation, memory of training, time to the first step."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Row, median, spread
from benchmarks.prepare import multiply_release, write_release
from benchmarks.startup import seconds_to_first_step
from benchmarks.stores import FULL, random_store

_TURNS = 3


def prepare_seconds(work: Path) -> tuple[float, float]:
    """Return the seconds of audiobag-prepare on one core, and its memory in MiB."""
    release = multiply_release(write_release(work / "release"), work / "full", FULL)
    out = work / "full-out"
    shutil.rmtree(out, ignore_errors=True)
    command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    command += [sys.executable, "-m", "audiobag.cli.prepare", f"source={release}", f"out={out}"]
    command += [f"hydra.run.dir={work / 'prepare-run'}"]
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("audiobag-prepare failed")
    return time.perf_counter() - before, used.ru_maxrss / 1024


def training_memory(work: Path, *overrides: str) -> list[dict[str, float]]:
    """Return the memory in GiB of each process of a training: Rss, Pss (shared pages divided), Pss_Anon."""
    run = work / "large-run"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "audiobag.cli.train", f"data.root={work}", "trainer.max_steps=100000"]
    command += ["data.val_fraction=0", "sampler=uniform", f"hydra.run.dir={run}", *overrides]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        # By then, random draws have touched nearly every page: a page fault also maps the pages around it.
        while process.poll() is None and steps_done(run) < 200:
            time.sleep(1)
        ranks = [p for p in Path("/proc").glob("[0-9]*") if f"hydra.run.dir={run}" in _read(p / "cmdline")]
        found = [_gib(_read(rank / "smaps_rollup")) for rank in ranks]
        for rank in ranks:
            os.kill(int(rank.name), signal.SIGKILL)
    return found


def steps_done(run: Path) -> int:
    """Return the step in a run's progress file."""
    text = _read(run / "progress.json")
    return int(json.loads(text)["step"]) if text else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # The file does not exist yet, or the process has ended.
        return ""


def _gib(rollup: str) -> dict[str, float]:
    lines = (line.split() for line in rollup.splitlines()[1:])
    return {kind.rstrip(":"): int(kib) / 2**20 for kind, kib, *_ in lines}


def run(work: Path) -> list[Row]:
    """Measure; takes about ten minutes and 8 GB of disk."""
    prepared = [prepare_seconds(work) for _ in range(_TURNS)]
    taken = [seconds for seconds, _ in prepared]
    large = work / "large"
    random_store(large / "bal_train.h5", FULL)
    random_store(large / "eval.h5", 500, seed=1)
    first = seconds_to_first_step(large)
    (one,) = training_memory(large)
    two = training_memory(large, "trainer=ddp_cpu", "threads=1")
    return [
        Row(f"prepare {FULL:,} clips from shards, one core", median(taken), "s", spread(taken), goal="under 180 s"),
        Row("memory of prepare, mapped pages included", max(memory for _, memory in prepared), "MiB"),
        Row("command to first optimizer step", first, "s", goal="under 15 s"),
        Row("memory of training, one process, mapped pages included", one["Rss"], "GiB", goal="under 3.5 GiB"),
        Row("of which anonymous", one["Pss_Anon"], "GiB"),
        Row("two ranks, shared pages counted once", sum(r["Pss"] for r in two), "GiB", goal="no second 2.5 GiB"),
        Row("anonymous, the larger of two ranks", max(r["Pss_Anon"] for r in two), "GiB"),
    ]
