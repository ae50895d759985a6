"""Runs that are complete: scores, predictions, a checkpoint and the eval set."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from audiobag.export import load
from audiobag.runs import RunDirectory
from audiobag.store import Store
from tests.composing import small_training
from tests.export.fabricate import make_run


def complete_run(folder: Path, pooling: str = "attention_softmax") -> tuple[RunDirectory, Store]:
    """Write a run whose predictions are those of its checkpoint."""
    checkpoint, store = make_run(folder, f"pooling={pooling}")
    run = RunDirectory(folder)
    offsets = store.columns.offsets
    bags = [np.asarray(store.frames[a:b]) for a, b in pairwise(offsets)]
    run.write_predictions(store.columns.video_id, load(checkpoint).predict(bags).clip.numpy())
    if pooling == "average":  # what two runs differ in
        AP = [0.2, 0.7, float("nan"), 0.5, 0.4]
        run.write_per_class(store.description.class_names, [3, 4, 0, 6, 7], {"AP": AP})
    record = json.loads((folder / "metrics.json").read_text())
    choices = {"pooling": pooling, "sampler": "balanced"}
    run.write_metrics({**record, "seed": 0, "choices": choices})
    (folder / ".hydra").mkdir()
    config = small_training(store.path.parent, folder, f"pooling={pooling}")
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    OmegaConf.save({}, folder / ".hydra" / "hydra.yaml")
    return run, store
