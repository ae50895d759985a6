"""Scores of an eval set, from the callbacks of a Trainer that has tested, to the run directory."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from lightning import Callback, Trainer
from numpy.typing import NDArray

from audiobag.data.store import Store
from audiobag.metrics import TaggingScores, further_scores, tagging_scores
from audiobag.runs import RunDirectory
from audiobag.training.callbacks import PredictionAveraging, TaggingScore

C = TypeVar("C", bound=Callback)


def callback_of(trainer: Trainer, kind: type[C]) -> C:
    """Return the trainer's callback of a kind, which it is known to have."""
    return next(callback for callback in callbacks_of(trainer) if isinstance(callback, kind))


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the trainer's callbacks."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def write_hold_out(trainer: Trainer, video_id: NDArray[np.character], run: RunDirectory) -> dict[str, Any]:
    """Write holdout.h5 of a validation after the training; return its scores as metrics.json has them."""
    score = callback_of(trainer, TaggingScore)
    if trainer.is_global_zero:
        run.write_hold_out(video_id, score.predictions["val"][1].numpy())
    summary: dict[str, Any] = score.scores["val"].summary()
    return summary


def write_test(
    trainer: Trainer,
    store: Store,
    run: RunDirectory,
    training_clips: NDArray[np.int64] | None = None,
    distance: NDArray[np.int16] | None = None,
) -> dict[str, Any]:
    """Write predictions.h5 and per_class.csv of a test; return its scores as metrics.json has them.

    `training_clips` [K] is how many clips of each class the model was trained on, `distance` [K, K] that of the classes
    for the ontology-aware mAP, see `class_distances`.
    """
    score = callback_of(trainer, TaggingScore)
    if "test" not in score.predictions:
        raise RuntimeError("the eval set was not scored")
    probability = score.predictions["test"][1].numpy()
    scores: TaggingScores = score.scores["test"]
    labels = torch.from_numpy(store.labels.dense())
    record = {"test": {**scores.summary(), **further_scores(score.predictions["test"][1], labels, distance)}}
    averaged = None
    for averaging in callbacks_of(trainer):
        if isinstance(averaging, PredictionAveraging):
            mean = averaging.average()
            record["test_averaged"] = {
                **tagging_scores(mean, labels).summary(),
                **further_scores(mean, labels, distance),
            }
            averaged = mean.numpy()
    if trainer.is_global_zero:
        run.write_predictions(store.columns.video_id, probability, averaged)
        write_class_scores(run, store, scores, training_clips)
    return record


def write_class_scores(
    run: RunDirectory, store: Store, scores: TaggingScores, training_clips: NDArray[np.int64] | None = None
) -> None:
    """Write per_class.csv."""
    columns = {"AP": scores.average_precision, "AUC": scores.auc, "d_prime": scores.d_prime_per_class}
    run.write_per_class(
        store.description.class_names,
        scores.positives.tolist(),
        {name: values.tolist() for name, values in columns.items()},
        None if training_clips is None else training_clips.tolist(),
    )
