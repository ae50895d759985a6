"""Run directories with random predictions for a random store, scored by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from audiobag.bags import BagPrediction
from audiobag.data.store import Store
from audiobag.runs import RunConfig, RunDirectory

REVISION = "0123456789abcdef" * 2 + "01234567"


def make_run(
    path: Path,
    store: Store,
    seed: int = 0,
    pooling: str = "average",
    quality: float = 1.0,
    *,
    experiment: str | None = None,
    averaged: bool = False,
    revision: str = REVISION,
    options: Mapping[str, Any] | None = None,
    overrides: tuple[str, ...] = (),
    curves: Mapping[int, Mapping[int, float]] | None = None,
) -> RunDirectory:
    """Write a complete run that is scored on `store`. A higher quality means a better ranking."""
    rng = np.random.default_rng([seed, sum(pooling.encode())])
    labels = store.labels.dense()
    score = rng.normal(size=labels.shape) + quality * labels
    probability = (1 / (1 + np.exp(-score))).astype(np.float32)
    run = RunDirectory(path)
    path.mkdir(parents=True)
    chosen = {"data": "balanced", "sampler": "balanced", "embedding": "mlp", "pooling": pooling, "loss": "clip"}
    choices = {**chosen, **({"experiment": experiment} if experiment else {})}
    write_config(run, seed, pooling, store, options or {}, overrides, choices)
    for version, points in (curves or {}).items():
        folder = path / "csv" / f"version_{version}"
        folder.mkdir(parents=True)
        rows = "".join(f",{step},{value}\n" for step, value in points.items())
        (folder / "metrics.csv").write_text(f"epoch,step,val/mAP\n{rows}")
    AP = [average_precision_score(y, p) for y, p in zip(labels.T, probability.T)]
    AUC = [roc_auc_score(y, p) for y, p in zip(labels.T, probability.T)]
    run.write_predictions(store.columns.video_id, probability, probability[:, :] if averaged else None)
    columns = {"AP": AP, "AUC": AUC, "d_prime": [2**0.5 * float(norm.ppf(v)) for v in AUC]}
    run.write_per_class(store.description.class_names, labels.sum(0).tolist(), columns)
    scores = {
        "mAP": float(np.mean(AP)),
        "AUC": float(np.mean(AUC)),
        "d_prime": 2**0.5 * float(norm.ppf(np.mean(AUC))),
        "classes": len(AP),
        "classes_left_out": 0,
    }
    record = {
        "status": "done",
        "seed": seed,
        "choices": choices,
        "test": scores,
        "train": {"steps": 10},
        "stores": {store.path.stem: store.content_sha256},
        "git_revision": revision,
    }
    run.write_metrics({**record, **({"test_averaged": scores} if averaged else {})})
    return run


def write_config(
    run: RunDirectory,
    seed: int,
    pooling: str,
    store: Store,
    options: Mapping[str, Any],
    overrides: Sequence[str],
    choices: Mapping[str, str],
) -> None:
    """Write config.json as a training does."""
    root = str(store.path.parent)
    config = {
        "seed": seed,
        "data": {"root": root, "train": ["bal_train"], "test": store.path.stem, "seed": seed},
        "pooling": {"_target_": f"audiobag.pooling.{pooling}"},
        "paths": {"run": str(run.path)},
        **options,
    }
    run.begin(RunConfig(config, overrides, choices, ["seed", "data.seed"]))


class Predicted:
    """Stands in for a trained model: it predicts random numbers."""

    def __init__(self, classes: int = 5) -> None:
        self.class_names = tuple(f"class {k}" for k in range(classes))

    def predict(self, frames: Any, lengths: Any = None) -> BagPrediction:
        assert lengths is None
        B, T, K = len(frames), max(map(len, frames)), len(self.class_names)
        return BagPrediction(torch.rand(B, K), torch.rand(B, T, K), torch.rand(B, T, K))
