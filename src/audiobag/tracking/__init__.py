"""Trackers: mirrors of a run elsewhere, none of which can stop it. Its directory stays the truth."""

from audiobag.tracking.mirror import mirror
from audiobag.tracking.mlflow import MLflowTracker
from audiobag.tracking.observer import Observer
from audiobag.tracking.tensorboard import TensorBoardTracker
from audiobag.tracking.tracker import Subject, Tracker, tracked
from audiobag.tracking.wandb import WandbTracker

__all__ = ["MLflowTracker", "Observer", "Subject", "TensorBoardTracker", "Tracker", "WandbTracker", "mirror", "tracked"]
