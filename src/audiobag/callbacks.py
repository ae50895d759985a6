"""Former address of `audiobag.training.callbacks`, kept for configurations that name it in `_target_`."""

from audiobag.training.callbacks import (
    AtomicCheckpointIO,
    ClipPredictions,
    Heartbeat,
    PredictionAveraging,
    Progress,
    RunCheckpoints,
    TaggingScore,
)

__all__ = [
    "AtomicCheckpointIO",
    "ClipPredictions",
    "Heartbeat",
    "PredictionAveraging",
    "Progress",
    "RunCheckpoints",
    "TaggingScore",
]
