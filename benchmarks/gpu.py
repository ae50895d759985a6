"""The paper's whole recipe on one GPU: 31,000 steps, the averaging window and the evaluation included."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import torch

from audiobag.experiment import train
from audiobag.runs import RunDirectory
from benchmarks.measure import Row
from benchmarks.stores import BALANCED, EVAL, random_store
from benchmarks.training import configuration


def run(work: Path) -> list[Row]:
    """Measure, where there is a GPU."""
    if not torch.cuda.is_available():
        return []
    random_store(work / "gpu" / "bal_train.h5", BALANCED)
    random_store(work / "gpu" / "eval.h5", EVAL, seed=1)
    config = configuration(
        work / "gpu",
        31_000,
        "experiment=paper/attention_softmax",
        "trainer=gpu",
        "data.placement=device",
        f"data.root={work / 'gpu'}",
    )
    folder = work / "gpu" / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = time.perf_counter()
    train(config, RunDirectory(folder), {})
    took = time.perf_counter() - before
    return [
        Row(f"31,000 steps and all evaluation, {torch.cuda.get_device_name()}", took, "s", goal="under 30 s on an H100")
    ]
