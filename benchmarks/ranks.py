"""Two gloo ranks of one thread each against one process of two threads: strong and weak scaling."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.step import paper_model
from benchmarks.stores import BALANCED, random_store

_LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")


def bytes_a_step(work: Path, steps: int = 40) -> float:
    """Return the bytes that each of two ranks sends in a step.

    It is the difference of two runs on the loopback device, in which the traffic outside of steps cancels.
    """

    def sent(total: int) -> int:
        before = int(_LOOPBACK.read_text())
        clips_per_second(work, "trainer=ddp_cpu", "threads=1", f"trainer.max_steps={total}")
        return int(_LOOPBACK.read_text()) - before

    return (sent(20 + steps) - sent(20)) / steps / 2


def clips_per_second(work: Path, *overrides: str) -> float:
    """Return the speed that audiobag-train reports for 20 steps."""
    run = work / "ranks"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "audiobag.cli.train", f"data.root={work}", "trainer.max_steps=20"]
    command += ["data.val_fraction=0", f"hydra.run.dir={run}", *overrides]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=600)
    return float(json.loads((run / "metrics.json").read_text())["train"]["clips_per_second"])


def run(work: Path) -> list[Row]:
    """Measure."""
    random_store(work / "bal_train.h5", BALANCED)
    random_store(work / "eval.h5", 500, seed=1)
    one = clips_per_second(work, "threads=2")
    strong = clips_per_second(work, "trainer=ddp_cpu", "threads=1")
    weak = clips_per_second(work, "trainer=ddp_cpu", "threads=1", "data.batch_size=1000")
    gradient = 4 * sum(p.numel() for p in paper_model().parameters())
    rows = [
        Row("one process, two threads, batch 500", one, "clips/s"),
        Row(
            "two ranks, one thread each, batch 500 in total",
            strong,
            "clips/s",
            against="one process",
            ratio=strong / one,
        ),
        Row("two ranks, one thread each, batch 500 each", weak, "clips/s", against="one process", ratio=weak / one),
        Row("gradient per step, the paper's network in fp32", gradient / 1e6, "MB"),
    ]
    if _LOOPBACK.exists():
        rows.append(
            Row(
                "sent per step by each of two ranks, all traffic of the loopback device", bytes_a_step(work) / 1e6, "MB"
            )
        )
    return rows
