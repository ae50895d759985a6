"""A small release of two splits in the published layout."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from audiobag.prepare import Summary, prepare
from audiobag.prepare.records import Clip, write_shard

Prepare = Callable[..., Summary]


def make_clips(n: int, *, seed: int, prefix: str = "id", witness: bool = False) -> list[Clip]:
    """Return clips of 1 to 10 frames, in random order of their ids."""
    rng = np.random.default_rng(seed)
    clips = []
    for i in rng.permutation(n):
        frames = rng.integers(0, 256, (rng.integers(1, 11), 128), dtype=np.uint8)
        labels = tuple(int(k) for k in rng.choice(527, rng.integers(1, 5), replace=False))
        shown = [rng.integers(0, len(frames), 2) for _ in labels] if witness else None
        start = float(rng.integers(0, 300))
        clips.append(Clip(f"{prefix}{i:09}".encode(), frames, labels, start, start + 10, shown))
    return clips


def pack(folder: Path, archive: Path, mode: str = "w:gz", names: Callable[[str], str] = str) -> Path:
    """Pack the shards of a folder in reverse order, renamed by `names`."""
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        for path in sorted(folder.rglob("*.tfrecord"), reverse=True):
            data = path.read_bytes()
            member = tarfile.TarInfo(names(str(path.relative_to(folder))))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with 12 clips in 3 shards of bal_train, and 6 clips in 2 shards of eval."""
    folder = tmp_path / "release"
    for split, shards, seed in (("bal_train", 3, 1), ("eval", 2, 2)):
        clips = make_clips(4 * shards if split == "bal_train" else 3 * shards, seed=seed)
        for i in range(shards):
            write_shard(folder / split / f"{'ABC'[i]}.tfrecord", clips[i::shards])
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Prepare:
    """`prepare` without a progress bar, by default into tmp_path/out."""

    def call(source: Path | str, out: Path | None = None, **options: object) -> Summary:
        quiet = Console(quiet=True)
        return prepare(str(source), out or tmp_path / "out", console=quiet, **options)  # type: ignore[arg-type]

    return call
