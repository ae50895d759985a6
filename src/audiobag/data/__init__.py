"""From stores to batches: the store format, the data set, the batches and the LightningDataModule."""

from typing import TYPE_CHECKING

from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.data.datamodule import BagDataModule
    from audiobag.data.dataset import BagDataset, check_alike
    from audiobag.data.loader import EvaluationBatches, TrainingBatches
    from audiobag.data.split import held_out, in_fold
    from audiobag.data.subsets import FirstClips, LongTail

__all__ = [
    "BagDataModule",
    "BagDataset",
    "EvaluationBatches",
    "FirstClips",
    "LongTail",
    "TrainingBatches",
    "check_alike",
    "held_out",
    "in_fold",
]

# Reading a store needs neither torch nor Lightning, so each name is imported on first use.
__getattr__ = lazy_names(__name__)
