"""Stores to batches."""

from audiobag.data.datamodule import BagDataModule
from audiobag.data.dataset import BagDataset, check_alike
from audiobag.data.loader import EvaluationBatches, TrainingBatches
from audiobag.data.longtail import LongTail
from audiobag.data.split import held_out

__all__ = [
    "BagDataModule",
    "BagDataset",
    "EvaluationBatches",
    "LongTail",
    "TrainingBatches",
    "check_alike",
    "held_out",
]
