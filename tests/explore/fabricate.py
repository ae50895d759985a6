"""Complete runs whose predictions are those of their checkpoint."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from audiobag.data.store import Store
from audiobag.export import load
from audiobag.runs import RunDirectory
from tests.export.fabricate import make_run


def complete_run(folder: Path, pooling: str = "attention_softmax") -> tuple[RunDirectory, Store]:
    """Write a run whose predictions are those of its checkpoint."""
    _, store = make_run(folder, f"pooling={pooling}")
    run = RunDirectory(folder)
    bags = [np.asarray(store.frames[a:b]) for a, b in pairwise(store.columns.offsets)]
    run.write_predictions(store.columns.video_id, load(folder).predict(bags).clip.numpy())
    if pooling == "average":  # the difference between two runs
        AP = [0.2, 0.7, float("nan"), 0.5, 0.4]
        run.write_per_class(store.description.class_names, [3, 4, 0, 6, 7], {"AP": AP})
    record = json.loads((folder / "metrics.json").read_text())
    run.write_metrics({**record, "seed": 0, "choices": {"pooling": pooling, "sampler": "balanced"}})
    return run, store
