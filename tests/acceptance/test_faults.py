"""Sweeps that are killed, run out of disk or are started twice: complete jobs are neither lost nor run again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import processes_of, wait_until
from tests.conftest import make_store

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
TRAIN = Path(sys.executable).with_name("audiobag-train")
OPTIONS = (
    "-m",
    "data.root=data",
    "data.batch_size=64",
    "trainer.max_steps=120",
    "trainer.val_check_interval=40",
    "callbacks.checkpoints.every=20",
    "callbacks=averaging",
    "callbacks.averaging.first=40",
    "callbacks.averaging.last=120",
    "callbacks.averaging.every=40",
    "hydra.launcher.jobs=2",
    "pooling=average,max",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores and two undisturbed sweeps: one with one rank per job, one with two."""
    folder = tmp_path_factory.mktemp("faults")
    make_store(folder / "data" / "bal_train.h5", clips=600, classes=20, dim=32)
    make_store(folder / "data" / "eval.h5", clips=300, classes=20, dim=32, seed=1)
    for trainer in ("cpu", "ddp_cpu"):
        assert begin(folder, trainer, f"undisturbed-{trainer}").wait(600) == 0
    return folder


def begin(folder: Path, trainer: str, name: str) -> subprocess.Popen[bytes]:
    command = [TRAIN, *OPTIONS, f"trainer={trainer}", f"hydra.sweep.dir={name}"]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def results(folder: Path) -> dict[str, Any]:
    read = {p.parent.name: json.loads(p.read_text()) for p in sorted(folder.glob("*/metrics.json"))}
    return {name: {k: r[k] for k in ("config_hash", "val", "test", "test_averaged")} for name, r in read.items()}


def ranks_of(sweep: Path) -> list[int]:
    """Return every process of the jobs of this sweep."""
    return processes_of(f"hydra.run.dir='{sweep}/")


def finish(place: Path, trainer: str, name: str) -> None:
    """Run the command again, to the end; the results are those of the undisturbed sweep."""
    done = {p: p.stat().st_mtime_ns for p in (place / name).glob("*/metrics.json")}
    assert begin(place, trainer, name).wait(600) == 0
    assert all(p.stat().st_mtime_ns == written for p, written in done.items()), "a complete job was run again"
    assert results(place / name) == results(place / f"undisturbed-{trainer}")


@pytest.mark.parametrize("seed", range(4))
def test_killed_sweep_leaves_no_orphans_and_continues(place: Path, seed: int) -> None:
    name = f"parent-{seed}"
    sweep = begin(place, "cpu", name)
    time.sleep(random.Random(seed).uniform(3, 25))
    sweep.send_signal(signal.SIGKILL if seed % 2 else signal.SIGINT)
    assert sweep.wait(60) in (-signal.SIGKILL, 75, 0)
    assert wait_until(lambda: not ranks_of(place / name), 10), "orphans"
    finish(place, "cpu", name)


@pytest.mark.parametrize("seed", range(4))
def test_killed_rank_fails_only_its_job(place: Path, seed: int) -> None:
    name = f"rank-{seed}"
    sweep = begin(place, "ddp_cpu", name)
    chosen = random.Random(seed)
    ranks: list[int] = []
    while len(ranks) < 2 and sweep.poll() is None:
        time.sleep(0.2)
        ranks = ranks_of(place / name)
    time.sleep(chosen.uniform(1, 15))
    alive = ranks_of(place / name)
    if alive:
        os.kill(chosen.choice(alive), signal.SIGKILL)
    assert sweep.wait(300) in (0, 3)
    assert ranks_of(place / name) == []
    finish(place, "ddp_cpu", name)


def test_second_copy_of_a_sweep_is_refused(place: Path) -> None:
    first = begin(place, "cpu", "twice")
    while not (place / "twice" / ".lock").exists():
        time.sleep(0.1)
    time.sleep(1)
    second = begin(place, "cpu", "twice")
    assert second.wait(120) == 2
    assert first.wait(600) == 0
    assert "another copy of this sweep is running" in (place / "twice.log").read_text()
    assert results(place / "twice") == results(place / "undisturbed-cpu")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("megabytes", [1, 3, 6])
def test_full_disk_does_not_damage_complete_jobs(place: Path, megabytes: int) -> None:
    name = f"disk-{megabytes}"
    (place / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place / name)], check=True)
    try:
        code = begin(place, "cpu", name).wait(600)
        whole = results(place / name)
        assert code in ((0,) if len(whole) == 2 else (1, 2, 3))
        undisturbed = results(place / "undisturbed-cpu")
        assert all(undisturbed[job] == found for job, found in whole.items())
        subprocess.run(["mount", "-o", "remount,size=200m", str(place / name)], check=True)
        finish(place, "cpu", name)
    finally:
        subprocess.run(["umount", str(place / name)], check=True)
