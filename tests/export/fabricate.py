"""Runs with a checkpoint of random weights and random scores, to export and to predict with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from audiobag.data.store import Store
from audiobag.model import build_model
from audiobag.runs import RunConfig, RunDirectory, config_hash
from audiobag.runs.checkpoints import checkpoint_metadata
from audiobag.runs.safe_instantiate import safe_instantiate
from tests.composing import small_training
from tests.conftest import make_store

STEP = 8


def make_run(folder: Path, *overrides: str, select: str = "last") -> tuple[Path, Store]:
    """Write the folder of a run and its eval set; return the checkpoint after the last step, and the eval set."""
    store = make_store(folder.parent / "data" / "eval.h5", clips=40, classes=5, seed=1)
    config = small_training(folder.parent / "data", folder, f"select={select}", *overrides)
    torch.manual_seed(0)
    model = build_model(
        partial(safe_instantiate, config["embedding"]),
        partial(safe_instantiate, config["pooling"]),
        dim=store.dim,
        classes=store.classes,
        scale=store.description.scale,
        offset=store.description.offset,
    )
    weights = {f"model.{name}": x + 0.3 * torch.rand(x.shape).to(x.dtype) for name, x in model.state_dict().items()}
    run = RunDirectory(folder)
    run.begin(RunConfig(config))
    checkpoint = run.step_checkpoint(STEP)
    checkpoint.parent.mkdir()
    metadata = checkpoint_metadata(config, store)
    torch.save({"state_dict": weights, "global_step": STEP, "audiobag": metadata}, checkpoint)
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
    return checkpoint, store
