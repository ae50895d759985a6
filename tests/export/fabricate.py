"""Small trained runs to export, as audiobag-train leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiobag.checkpoint import about
from audiobag.experiment import build_system
from audiobag.runs import RunDirectory, config_hash
from audiobag.store import Store
from tests.composing import small_training
from tests.conftest import make_store

STEP = 8


def make_run(folder: Path, *overrides: str, select: str = "last") -> tuple[Path, Store]:
    """Write a run's folder with a checkpoint of random weights, and its eval set; return both."""
    folder.mkdir(parents=True, exist_ok=True)
    store = make_store(folder.parent / "data" / "eval.h5", clips=40, classes=5, seed=1)
    config = small_training(folder.parent / "data", folder, f"select={select}", *overrides)
    torch.manual_seed(0)
    system = build_system(config, store).eval()
    weights = {name: x + 0.3 * torch.rand(x.shape).to(x.dtype) for name, x in system.state_dict().items()}
    known = about(config, store)
    checkpoint = folder / "checkpoints" / f"step-{STEP:08d}.ckpt"
    checkpoint.parent.mkdir()
    torch.save({"state_dict": weights, "global_step": STEP, "audiobag": known}, checkpoint)
    write_results(folder, config, store)
    return checkpoint, store


def write_results(folder: Path, config: dict[str, Any], store: Store) -> None:
    """Write what the run says of its scores: random ones, but of the right shape."""
    run = RunDirectory(folder)
    rng = np.random.default_rng(0)
    run.write_predictions(store.columns.video_id, rng.random((len(store), store.classes), dtype=np.float32))
    AP = [0.1, 0.9, float("nan"), 0.5, 0.3]
    run.write_per_class(store.description.class_names, [3, 4, 0, 6, 7], {"AP": AP})
    run.write_metrics(
        {
            "status": "done",
            "config_hash": config_hash(config),
            "choices": {"experiment": "paper/attention_softmax"},
            "test": {"mAP": 0.45, "AUC": 0.6789, "d_prime": None, "classes": 4, "classes_left_out": 1},
            "train": {"steps": STEP},
            "stores": {"eval": store.content_sha256},
            "git_revision": "0123abcd",
        }
    )
