"""Tracking from the command line: a sweep of two jobs, and runs of one and two ranks that a signal ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiobag.runs.directory import RunDirectory
from audiobag.runs.offline import sync_command
from tests.conftest import make_store
from tests.tracking.dotwandb import starts
from tests.tracking.server import server

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
COMMON = (
    str(Path(sys.executable).with_name("audiobag-train")),
    "data.root=data",
    "data.batch_size=16",
    "embedding.width=8",
    "logger=wandb_offline",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_store(tmp_path / "data" / "bal_train.h5", clips=80, classes=5)
    make_store(tmp_path / "data" / "eval.h5", clips=41, classes=5, seed=1)
    return tmp_path


def test_each_job_is_a_tracked_run_in_the_group_of_its_sweep(place: Path) -> None:
    program, *options = COMMON
    sweep = ["trainer.max_steps=6", "pooling=average,max", "hydra.sweep.dir=sweeps/two"]
    subprocess.run([program, "-m", *options, *sweep], cwd=place, check=True, timeout=300)
    ids = set()
    for name in ("pooling-average", "pooling-max"):
        run = RunDirectory(place / "sweeps" / "two" / name)
        (tracked,) = starts(run.path)
        metrics = run.metrics() or {}
        assert (tracked.run.run_group, tracked.run.display_name, tracked.exit_code) == ("two", name, 0)
        for metric in ("mAP", "AUC", "d_prime"):
            assert tracked.curve(f"test/{metric}")[6] == pytest.approx(metrics["test"][metric], abs=1e-6)
            assert tracked.summary[f"test/{metric}"] == metrics["test"][metric]
        ids.add(tracked.run.run_id)
    assert len(ids) == 2


@pytest.mark.parametrize("trainer", ["cpu", "ddp_cpu"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGKILL, None)])
def test_a_run_that_a_signal_ends_continues_under_its_id(
    place: Path, trainer: str, number: signal.Signals, code: int | None
) -> None:
    """A start that is killed leaves no exit code and an incomplete file; the next start has both."""
    options = ["trainer.max_steps=400", "trainer.val_check_interval=200", "callbacks.checkpoints.every=20"]
    command = [*COMMON, *options, f"trainer={trainer}", "hydra.run.dir=run"]
    running = subprocess.Popen(command, cwd=place)
    checkpoints = place / "run" / "checkpoints"
    deadline = time.monotonic() + 300
    while not any(checkpoints.glob("step-*.ckpt")) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(number)
    assert running.wait(120) == (75 if number == signal.SIGTERM else -signal.SIGKILL)
    subprocess.run(command, cwd=place, check=True, timeout=400)
    first, second = starts(place / "run")
    assert (first.exit_code, second.exit_code) == (code, 0)
    assert second.run.run_id == RunDirectory(place / "run").tracked("wandb")["id"]
    if number == signal.SIGTERM or first.run is not None:
        assert first.run.run_id == second.run.run_id
    assert max(first.curve("train/loss"), default=0) < 400
    assert max(second.curve("train/loss")) == 400
    assert "test/mAP" in second.summary


def test_a_continued_offline_run_arrives_whole(place: Path) -> None:
    """Two starts, sent by one line as a sweep prints it."""
    program, *options = COMMON
    often = ("trainer.val_check_interval=4", "trainer.log_every_n_steps=2", "hydra.run.dir=runs/one")
    for steps in (8, 16):  # the second one lengthens the first
        subprocess.run([program, *options, *often, f"trainer.max_steps={steps}"], cwd=place, check=True, timeout=300)
    run = RunDirectory(place / "runs" / "one")
    with server() as (address, histories):
        command = [sys.executable, "-m", *sync_command(run.unsent()).split()]
        environment = {**os.environ, "WANDB_BASE_URL": address, "WANDB_API_KEY": "x" * 40}
        subprocess.run(command, cwd=place, env=environment, check=True, timeout=120)
        (rows,) = histories.values()
    found = [json.loads(row) for row in rows]
    assert [row["_step"] for row in found] == [2, 4, 6, 8, 10, 12, 14, 16]
    for name in ("train/loss", "val/mAP"):
        sent = {row["_step"]: row[name] for row in found if name in row}
        assert sent == pytest.approx(run.curve(name))
    assert run.unsent() == []
