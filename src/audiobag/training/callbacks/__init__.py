"""Lightning callbacks: scoring, prediction averaging, checkpoints, progress."""

from audiobag.training.callbacks.averaging import PredictionAveraging
from audiobag.training.callbacks.checkpoints import AtomicCheckpointIO, RunCheckpoints
from audiobag.training.callbacks.heartbeat import Heartbeat
from audiobag.training.callbacks.observer import Observer
from audiobag.training.callbacks.predictions import ClipPredictions, CollectFrames
from audiobag.training.callbacks.progress import Progress, ProgressLines
from audiobag.training.callbacks.scoring import TaggingScore
from audiobag.training.callbacks.weights import EMA, SWA

__all__ = [
    "EMA",
    "SWA",
    "AtomicCheckpointIO",
    "ClipPredictions",
    "CollectFrames",
    "Heartbeat",
    "Observer",
    "PredictionAveraging",
    "Progress",
    "ProgressLines",
    "RunCheckpoints",
    "TaggingScore",
]
