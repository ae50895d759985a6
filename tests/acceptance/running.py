"""Runs as processes: start them, hold them at a known point, wait for them, and find what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 80
PATIENCE = 1500  # seconds that a run may take from start to end on a busy machine
OPTIONS = (
    "data.root=data",
    "data.batch_size=200",
    "threads=1",
    "embedding.width=100",
    f"trainer.max_steps={STEPS}",
    "trainer.val_check_interval=20",
    "callbacks.checkpoints.every=10",
    "+callbacks.heartbeat.seconds=0",
    "callbacks=averaging",
    "callbacks.averaging.first=40",
    f"callbacks.averaging.last={STEPS}",
    "callbacks.averaging.every=20",
    "+callbacks.hold={_target_: hold.Hold}",
)
TRAIN = (sys.executable, "-m", "audiobag.cli.train")
# Runs before the checkpoint callback, which Lightning puts last: a run that is held has not checked for a signal yet.
HOLD = """
import os, pathlib, time
from lightning import Callback

class Hold(Callback):
    '''Holds the run at the point that HOLD names until the file that marks it is removed.'''

    def _at(self, trainer, place):
        if os.environ.get("HOLD") == place:
            mark = pathlib.Path(f"{os.environ['HELD']}.{trainer.global_rank}")
            mark.touch()
            while mark.exists():
                time.sleep(0.05)
            if os.environ["BREAK"] == str(trainer.global_rank):
                raise RuntimeError("this rank alone")

    def on_train_batch_end(self, trainer, *_):
        self._at(trainer, f"train {trainer.global_step}")

    def on_validation_batch_end(self, trainer, *_):
        if trainer.state.fn == "validate":
            self._at(trainer, "validate")

    def on_test_batch_end(self, trainer, *_):
        self._at(trainer, "test")
"""


def begin(
    folder: Path, trainer: str, name: str, *options: str, hold: str = "", broken: str = ""
) -> subprocess.Popen[bytes]:
    """Start a run in `folder`/`name`, as the leader of a process group of its own.

    Args:
        folder: the folder that has the stores.
        trainer: an option of conf/trainer.
        name: name of the run; if -m is one of the options, of the sweep.
        options: further options.
        hold: point at which to hold it, such as `train 30` (a step), `validate` or `test`.
        broken: rank that fails there after its release.
    """
    modules = folder / "modules"
    modules.mkdir(exist_ok=True)
    (modules / "hold.py").write_text(HOLD)
    where = f"hydra.sweep.dir={name}" if "-m" in options else f"hydra.run.dir={name}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(modules)}
    environment |= {"HOLD": hold, "HELD": str(folder / f"{name}-held"), "BREAK": broken}
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*TRAIN, *options, *OPTIONS, f"trainer={trainer}", where],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def wait_for_hold(folder: Path, trainer: str, name: str, run: subprocess.Popen[bytes]) -> None:
    """Return when every rank has reached the point at which it is held."""
    marks = [folder / f"{name}-held.{rank}" for rank in range(1 + (trainer == "ddp_cpu"))]
    reached = wait_until(lambda: run.poll() is not None or all(mark.exists() for mark in marks), PATIENCE)
    assert reached, log_of(folder, name)[-2000:]
    assert run.poll() is None, log_of(folder, name)[-2000:]


def release(folder: Path, name: str) -> None:
    """Release the ranks that are held."""
    for mark in folder.glob(f"{name}-held.*"):
        mark.unlink()


def log_of(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(errors="replace")


def results(run: Path) -> dict[str, Any]:
    record = json.loads((run / "metrics.json").read_text())
    return {k: record[k] for k in ("config_hash", "val", "test", "test_averaged")}


def processes_of(name: str) -> list[int]:
    """Return every process whose command line has this text: the name of a run, or of the sweep of a job."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if name in command:
                found.append(int(entry.name))
    return found


def none_left(name: str, seconds: float = 30) -> bool:
    return wait_until(lambda: not processes_of(name), seconds)


def wait_until(true: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; return whether it became true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def until(what: str, true: Callable[[], object], seconds: float = 240) -> None:
    """Wait for a condition, and fail if it does not become true."""
    assert wait_until(true, seconds), f"waited {seconds:g} s for {what}"


def wait_for_step(run: Path, process: subprocess.Popen[bytes], step: int) -> None:
    """Return when the run has taken this step or has ended."""

    def taken() -> bool:
        try:
            return bool(json.loads((run / "progress.json").read_text())["step"] >= step)
        except (OSError, ValueError):
            return False

    until(f"step {step}", lambda: process.poll() is not None or taken(), PATIENCE)


def wait_for_handlers(process: subprocess.Popen[bytes]) -> None:
    """Return as soon as the process has a handler for SIGTERM, about 0.2 s after its start."""

    def installed() -> bool:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
        return False

    until("a handler", lambda: process.poll() is not None or installed(), 60)
