"""Trackers, which mirror a run to another service. An error in one never stops the run."""

from audiobag.tracking.mirror import mirror
from audiobag.tracking.mlflow import MLflowTracker
from audiobag.tracking.tensorboard import TensorBoardTracker
from audiobag.tracking.tracker import Subject, Tracker, tracked
from audiobag.tracking.wandb import WandbTracker

__all__ = ["MLflowTracker", "Subject", "TensorBoardTracker", "Tracker", "WandbTracker", "mirror", "tracked"]
