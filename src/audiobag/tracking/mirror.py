"""The results of a complete run, passed from its directory to the trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from audiobag.data.store import Store
from audiobag.metrics.localisation import LOCALISATION_OF_TEST
from audiobag.pictures.classes import ap_against_frequency, precision_recall
from audiobag.runs.directory import RunDirectory
from audiobag.tracking.tracker import Tracker

_SCORED = ("val", "test", "test_averaged")
_METRICS = ("mAP", "AUC", "d_prime")


def mirror(trackers: Sequence[Tracker], run: RunDirectory, store: Store) -> None:
    """Pass the results of a run to trackers: scores, the table of classes, pictures, checkpoint and predictions."""
    metrics = run.metrics()
    if not trackers or metrics is None:
        return
    step = metrics["train"]["steps"]
    checkpoint = run.scored_checkpoint()
    classes = run.read_per_class()
    _, probability = run.read_predictions()
    positive = store.labels.dense()
    AP, training_clips = classes.average_precision, classes.training_clips
    assert training_clips is not None, "a training run writes the number of training clips"
    curves = partial(precision_recall, probability, positive, classes.names, training_clips, AP)
    rows = [
        [k, name, trained, scored, ap if np.isfinite(ap) else None]
        for k, (name, trained, scored, ap) in enumerate(
            zip(classes.names, training_clips.tolist(), classes.positives.tolist(), AP.tolist(), strict=True)
        )
    ]
    numbers = summary(metrics)
    afterwards = {
        name: value
        for name, value in numbers.items()
        if name.startswith("test_averaged/") or name.removeprefix("test/") in LOCALISATION_OF_TEST
    }
    about = {"step": step, "config_hash": metrics["config_hash"], "stores": metrics["stores"]}
    for tracker in trackers:
        if afterwards:  # Lightning has logged the others
            tracker.log_metrics(afterwards, step)
        tracker.table("per_class", ("index", "class", "training clips", "eval clips", "AP"), rows, step)
        tracker.picture("precision_recall", curves, step)
        tracker.picture("ap_against_frequency", partial(ap_against_frequency, AP, training_clips, classes.names), step)
        tracker.summarise(numbers)
        tracker.file("model", checkpoint, {**about, "test": metrics["test"]})
        tracker.file("predictions", run.predictions, about)


def summary(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the final scores of a run, such as `test/mAP`, and its training time and speed."""
    numbers = {
        f"{scored}/{metric}": float(value)
        for scored in _SCORED
        for metric in (*_METRICS, *LOCALISATION_OF_TEST)
        if (value := metrics.get(scored, {}).get(metric)) is not None
    }
    return {**numbers, **{k: float(metrics["train"][k]) for k in ("seconds", "clips_per_second")}}
