"""Plain runs that are interrupted at random moments, in every way: each ends with the undisturbed run's numbers."""

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

from tests.conftest import make_store

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
STEPS = 80
OPTIONS = (
    "data.root=data",
    "data.batch_size=200",
    f"trainer.max_steps={STEPS}",
    "trainer.val_check_interval=20",
    "callbacks.checkpoints.every=10",
    "callbacks=averaging",
    "callbacks.averaging.first=40",
    f"callbacks.averaging.last={STEPS}",
    "callbacks.averaging.every=20",
)
TRAIN = (sys.executable, "-m", "audiobag.cli.train")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores, and undisturbed runs there, of one process and of two."""
    folder = tmp_path_factory.mktemp("preemption")
    make_store(folder / "data" / "bal_train.h5", clips=900, classes=20, dim=64)
    make_store(folder / "data" / "eval.h5", clips=300, classes=20, dim=64, seed=1)
    for trainer in ("cpu", "ddp_cpu"):
        assert begin(folder, trainer, f"undisturbed-{trainer}").wait(300) == 0
    return folder


def begin(folder: Path, trainer: str, name: str, *options: str) -> subprocess.Popen[bytes]:
    command = [*TRAIN, *OPTIONS, f"trainer={trainer}", f"hydra.run.dir={name}", *options]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def results(run: Path) -> dict[str, Any]:
    record = json.loads((run / "metrics.json").read_text())
    return {k: record[k] for k in ("config_hash", "val", "test", "test_averaged")}


def processes_of(name: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"hydra.run.dir={name}".encode() in command:
                found.append(int(entry.name))
    return found


def wait_for_step(run: Path, process: subprocess.Popen[bytes], step: int) -> None:
    """Return when the run has taken this step, or has ended; step 0 is any moment of its start."""
    while process.poll() is None:
        try:
            if json.loads((run / "progress.json").read_text())["step"] >= step:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.02)


def none_left(name: str, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while processes_of(name) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_of(name) == []


@pytest.mark.parametrize("seed", range(20))
def test_interrupted_at_a_random_moment(place: Path, seed: int) -> None:
    chosen = random.Random(seed)
    how = ("SIGTERM", "SIGUSR1", "a rank", "all")[seed % 4]
    trainer = "ddp_cpu" if how == "a rank" or seed % 8 >= 4 else "cpu"
    name = f"run-{seed}"
    run = begin(place, trainer, name)
    if chosen.random() < 0.25:
        time.sleep(chosen.uniform(0.2, 8))  # at its start
    else:
        wait_for_step(place / name, run, chosen.randint(1, STEPS))
    if run.poll() is None:
        if how.startswith("SIG"):
            run.send_signal(getattr(signal, how))
            assert run.wait(60) in (75, 0), (place / f"{name}.log").read_text()[-2000:]
        else:
            victims = processes_of(name)
            for victim in [chosen.choice(victims)] if how == "a rank" else victims:
                os.kill(victim, signal.SIGKILL)
            assert run.wait(60) != 0 or (place / name / "metrics.json").exists()
    assert none_left(name), "orphans"
    assert begin(place, trainer, name).wait(300) == 0
    assert results(place / name) == results(place / f"undisturbed-{trainer}")


@pytest.mark.parametrize("hung", [0, 1])
def test_a_rank_that_hangs_ends_the_run_within_its_timeout(place: Path, hung: int) -> None:
    """Rank 0 that hangs is left to whoever started it; the others end all the same."""
    name = f"hung-{hung}"
    run = begin(place, "ddp_cpu", name, "trainer.strategy.timeout.minutes=0.25")
    wait_for_step(place / name, run, 20)
    parent, child = run.pid, next(p for p in processes_of(name) if p != run.pid)
    stopped, other = (parent, child) if hung == 0 else (child, parent)
    os.kill(stopped, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{other}/status").exists() and time.monotonic() < deadline:
        if "State:\tZ" in Path(f"/proc/{other}/status").read_text():
            break
        run.poll()
        time.sleep(0.2)
    else:
        assert not Path(f"/proc/{other}/status").exists(), "it still waits for the one that hangs"
    if hung == 0:
        os.kill(stopped, signal.SIGCONT)
    assert run.wait(60) not in (0, 75)
    assert none_left(name), "orphans"
    assert "Timed out" in (place / f"{name}.log").read_text() or "imeout" in (place / f"{name}.log").read_text()
    assert begin(place, "ddp_cpu", name).wait(300) == 0
    assert results(place / name) == results(place / "undisturbed-ddp_cpu")


def test_another_world_size_continues_the_same_batches(place: Path) -> None:
    """Batches are global, so without dropout the numbers are those of one process but for the order of sums."""
    assert begin(place, "cpu", "one", "embedding.dropout=0").wait(300) == 0
    two = begin(place, "ddp_cpu", "two-then-one", "embedding.dropout=0")
    wait_for_step(place / "two-then-one", two, 30)
    two.send_signal(signal.SIGTERM)
    assert two.wait(60) == 75
    assert begin(place, "cpu", "two-then-one", "embedding.dropout=0").wait(300) == 0
    one, changed = results(place / "one"), results(place / "two-then-one")
    for key in ("val", "test", "test_averaged"):
        assert changed[key]["mAP"] == pytest.approx(one[key]["mAP"], abs=1e-4)
