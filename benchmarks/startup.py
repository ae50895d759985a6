"""Time from the command to the first optimizer step, imports included, and time of --help."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from benchmarks.measure import Row, median, spread
from benchmarks.stores import BALANCED, random_store

ROOT = Path(__file__).parents[1]


class FirstStep(Callback):
    """Writes the time of the first optimizer step to a file.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write the time."""
        if not self.path.exists():
            self.path.write_text(repr(time.time()))


def seconds_to_first_step(work: Path, *overrides: str) -> float:
    """Return the seconds from the command to the first optimizer step, for stores in `work`."""
    folder, stamp = work / "started", work / "first_step"
    shutil.rmtree(folder, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    command = [sys.executable, "-m", "audiobag.cli.train", f"data.root={work}", "trainer.max_steps=1"]
    command += ["data.val_fraction=0", "callbacks.score=null", f"hydra.run.dir={folder}", *overrides]
    command += [f"+callbacks.first={{_target_: benchmarks.startup.FirstStep, path: {stamp}}}"]
    began = time.time()
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not (stamp.exists() and stamp.read_text()):
            if process.poll() is not None and not stamp.exists():
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
            time.sleep(0.01)
        process.kill()
    return float(stamp.read_text()) - began


def run(work: Path) -> list[Row]:
    """Measure."""
    random_store(work / "bal_train.h5", BALANCED)
    random_store(work / "eval.h5", 500, seed=1)
    start, help_ = [], []
    for _ in range(4):
        start.append(seconds_to_first_step(work))
        before = time.perf_counter()
        subprocess.run([sys.executable, "-m", "audiobag.cli.train", "--help"], check=True, capture_output=True)
        help_.append(time.perf_counter() - before)
    return [
        Row(
            "command to first optimizer step, balanced split",
            median(start[1:]),
            "s",
            spread(start[1:]),
            goal="under 6 s",
        ),
        Row("audiobag-train --help", median(help_[1:]), "s", spread(help_[1:]), goal="under 1 s"),
    ]
