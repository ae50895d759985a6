"""Published shards to stores, both checksums of every record checked, against the tfrecord package without checks."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from tfrecord.reader import sequence_loader

from audiobag.prepare import prepare
from audiobag.prepare.records import Clip, write_shard
from benchmarks.measure import Row, median, seconds, spread

CLIPS, SHARDS = 20_480, 40
CONTEXT = {"video_id": "byte", "start_time_seconds": "float", "end_time_seconds": "float", "labels": "int"}


def write_release(folder: Path, clips: int = CLIPS, shards: int = SHARDS) -> Path:
    """Write (once) published records of random frames."""
    if folder.exists():
        return folder
    rng = np.random.default_rng(0)
    per_shard = clips // shards
    for shard in range(shards):
        frames = rng.integers(0, 256, (per_shard, 10, 128), dtype=np.uint8)
        labels = np.sort(rng.integers(0, 527, (per_shard, 2)), 1)
        first = shard * per_shard
        bags = [
            Clip(video_id(first + i), frames[i], sorted(set(labels[i].tolist())), 0.0, 10.0) for i in range(per_shard)
        ]
        write_shard(folder / "bal_train" / f"{shard:03}.tfrecord", bags)
    return folder


def video_id(i: int) -> bytes:
    """Return the id of clip i of a release, 11 letters as on YouTube."""
    return b"%011d" % i


def by_tfrecord(folder: Path) -> int:
    """Read every clip with the tfrecord package, its frames left as the bytes it gives."""
    read = 0
    for shard in sorted(folder.rglob("*.tfrecord")):
        read += sum(1 for _ in sequence_loader(str(shard), None, CONTEXT, {"audio_embedding": "byte"}))
    return read


def on_one_core(work: Callable[[], object]) -> Callable[[], None]:
    """Return the same work, done by threads that share one core."""

    def pinned() -> None:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        try:
            work()
        finally:
            os.sched_setaffinity(0, allowed)

    return pinned


def run(work: Path) -> list[Row]:
    """Measure."""
    release = write_release(work / "release")
    archive = work / "release.tar.gz"
    if not archive.exists():
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(release, "features")
    out, quiet = work / "prepared", Console(quiet=True)

    def ours(source: Path) -> None:
        shutil.rmtree(out, ignore_errors=True)
        prepare(str(source), out, console=quiet)

    first, peer = "audiobag, shards to finished stores, one core", "tfrecord, shards to clips, no checks, one core"
    free, packed = "audiobag, shards to finished stores, all cores", "audiobag, tar.gz to finished stores, all cores"
    taken = seconds(
        {
            first: on_one_core(lambda: ours(release)),
            peer: on_one_core(lambda: by_tfrecord(release)),
            free: lambda: ours(release),
            packed: lambda: ours(archive),
        },
        repeats=3,
    )
    rate = {name: CLIPS / median(values) for name, values in taken.items()}
    return [
        Row(first, rate[first], "clips/s", spread(taken[first])),
        Row(peer, rate[peer], "clips/s", spread(taken[peer]), first, rate[first] / rate[peer], "3 x"),
        Row(free, rate[free], "clips/s", spread(taken[free]), "one core's", rate[free] / rate[first]),
        Row(packed, rate[packed], "clips/s", spread(taken[packed])),
    ]
