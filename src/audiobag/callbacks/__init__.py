"""Lightning callbacks: scoring, prediction averaging, checkpoints, progress."""

from audiobag.callbacks.averaging import PredictionAveraging
from audiobag.callbacks.checkpoints import AtomicCheckpointIO, RunCheckpoints
from audiobag.callbacks.heartbeat import Heartbeat
from audiobag.callbacks.predictions import ClipPredictions
from audiobag.callbacks.progress import Progress
from audiobag.callbacks.scoring import TaggingScore

__all__ = [
    "AtomicCheckpointIO",
    "ClipPredictions",
    "Heartbeat",
    "PredictionAveraging",
    "Progress",
    "RunCheckpoints",
    "TaggingScore",
]
