"""Published shards to stores, all checksums checked, against the tfrecord package without checks, on one core."""

from __future__ import annotations

import os
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from tfrecord.reader import sequence_loader

from audiobag.prepare import prepare
from audiobag.prepare.records import Clip, frame_record, write_shard
from benchmarks.measure import Row, rates, seconds

CLIPS, SHARDS = 204_800, 40
_PER_SHARD = 512
CONTEXT = {"video_id": "byte", "start_time_seconds": "float", "end_time_seconds": "float", "labels": "int"}


def write_release(folder: Path, clips: int = CLIPS // 10, shards: int = SHARDS) -> Path:
    """Write published records of random frames, unless the folder exists."""
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


def multiply_release(source: Path, folder: Path, clips: int) -> Path:
    """Write shards that repeat the clips of `write_release` under other ids, unless the folder exists."""
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


def video_id(i: int) -> bytes:
    """Return the id of clip i of a release, 11 characters as on YouTube."""
    return b"%011d" % i


def by_tfrecord(folder: Path) -> int:
    """Read every clip with the tfrecord package, its frames as bytes."""
    read = 0
    for shard in sorted(folder.rglob("*.tfrecord")):
        read += sum(1 for _ in sequence_loader(str(shard), None, CONTEXT, {"audio_embedding": "byte"}))
    return read


def on_one_core(work: Callable[[], object]) -> Callable[[], None]:
    """Return a function that does the same work, all threads on one core."""

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
    release = multiply_release(write_release(work / "release"), work / "release-10", CLIPS)
    archive = work / "release-10.tar.gz"
    if not archive.exists():
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(release, "features")
    out, quiet = work / "prepared", Console(quiet=True)

    def ours(source: Path) -> None:
        shutil.rmtree(out, ignore_errors=True)
        prepare(str(source), out, console=quiet)

    shards = "audiobag, shards to finished stores"
    packed = "audiobag, tar.gz to finished stores"
    peer = "tfrecord, shards to clips, no checks"
    candidates = {shards: lambda: ours(release), peer: lambda: by_tfrecord(release), packed: lambda: ours(archive)}
    taken = seconds({name: on_one_core(call) for name, call in candidates.items()}, repeats=3)
    return rates(taken, dict.fromkeys(taken, CLIPS), shards, "clips/s", {peer: "3 x"})
