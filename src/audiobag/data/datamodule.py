"""The LightningDataModule, which makes batches from stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from audiobag.bags import Bags
from audiobag.data.dataset import BagDataset, check_alike
from audiobag.data.loader import Draw, EvaluationBatches, TrainingBatches, TrainingIndices
from audiobag.data.placement import Placement
from audiobag.data.resident import ResidentBags
from audiobag.data.split import held_out, in_fold
from audiobag.data.store import Store, open_store
from audiobag.labels import LabelTable
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole, listed


class BagDataModule(LightningDataModule):
    """Batches for training, validation and scoring, from the stores of one data set.

    Args:
        root: folder of the stores.
        train: name or names of the stores to train on; `bal_train` stands for `<root>/bal_train.h5`.
        test: name of the store to score.
        sampler: makes the training sampler from (labels, batch_size, seed); not needed for scoring.
        batch_size: clips of a global batch, over all ranks.
        val_fraction: share of the training clips that is held out for validation (see `held_out`); 0 for none. Not used
            with `fold`.
        seed: seed of the sampler.
        placement: where the frames are kept: mapped, memory or device (see `Placement`).
        subset: chooses the training clips among those that are not held out, by a function from (labels, video_id [N])
            to booleans [N] such as `LongTail`; all of them by default.
        fold: number of the fold of the training clips that is held out (see `in_fold`), from 0 to `folds` - 1; None for
            `val_fraction`.
        folds: number of folds.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        root: str | PathLike[str],
        train: Sequence[str],
        test: str,
        sampler: Callable[[LabelTable, int, int], Draw] | None = None,
        batch_size: int = 500,
        val_fraction: float = 0.1,
        seed: int = 0,
        placement: str = "mapped",
        subset: Callable[[LabelTable, NDArray[np.character]], NDArray[np.bool_]] | None = None,
        fold: int | None = None,
        folds: int = 5,
    ) -> None:
        super().__init__()
        check_whole("batch_size", batch_size)
        check_number("val_fraction", val_fraction, "[0, 1)", ", 0 for no hold-out")
        check_whole("folds", folds, 2)
        if fold is not None:
            check_whole("fold", fold, 0, ", or null for val_fraction")
            if fold >= folds:
                raise InputError(f"fold must be less than folds, {folds}, got {fold}")
        if not isinstance(root, str | PathLike) or not str(root):
            raise InputError(f"root must be a folder, got {'null' if root is None else root}")
        self.root = Path(root)
        self.train_names, self.test_name = tuple(map(str, listed(train))), test
        self.batch_size, self.val_fraction, self.seed = batch_size, val_fraction, seed
        self.fold, self.folds = fold, folds
        self._sampler, self._subset = sampler, subset
        self.placement = placement
        self._placement = Placement(placement)
        self.whole_steps = False
        """Whether `train_dataloader` yields only the numbers of the clips, from which `resident` makes the batches."""

    @property
    def holds_out(self) -> bool:
        """True if some training clips are held out for validation."""
        return self.fold is not None or self.val_fraction > 0

    @cached_property
    def train_stores(self) -> tuple[Store, ...]:
        """The stores to train on."""
        if not self.train_names:
            raise InputError("train must name the stores to train on, got none")
        return tuple(open_store(self.root / f"{name}.h5") for name in self.train_names)

    @cached_property
    def test_store(self) -> Store:
        """The store to score."""
        return open_store(self.root / f"{self.test_name}.h5")

    @cached_property
    def train_set(self) -> BagDataset:
        """The training clips that are not held out, or the subset of them."""
        return self._training_part(held=False)

    @cached_property
    def val_set(self) -> BagDataset:
        """The training clips that are held out."""
        return self._training_part(held=True)

    @cached_property
    def test_set(self) -> BagDataset:
        """The clips to score, in the order of their store."""
        return BagDataset([self.test_store])

    @cached_property
    def _draw(self) -> Draw:
        """The sampler."""
        if self._sampler is None:
            raise InputError("sampler is needed to train: pass one to the data module")
        return self._sampler(self.train_set.labels, self.batch_size, self.seed)

    def setup(self, stage: str) -> None:
        """Open the stores to train on and to score, so that errors in them appear before training starts.

        Raises:
            ValueError: a store is missing or differs from another, the hold-out or `subset` leaves no clip for a part,
                or the sampler cannot draw from the labels.
        """
        if stage == "fit":
            check_alike(self.train_stores[0], self.test_store)
            if self._subset is not None and not len(self.train_set):
                raise InputError("subset leaves no clip to train on: choose another one, or null for all clips")
            if not len(self.train_set) or (self.holds_out and not len(self.val_set)):
                split, remedy = f"val_fraction={self.val_fraction}", "choose another fraction, or 0 for no hold-out"
                if self.fold is not None:
                    split, remedy = f"fold={self.fold}", f"choose fewer folds than {self.folds}"
                raise InputError(
                    f"{split} splits the training clips into {len(self.train_set)} to train on and {len(self.val_set)}"
                    f" held out: {remedy}"
                )
            if self._sampler is not None:
                self._draw  # noqa: B018 - refuses labels that it cannot draw from

    @cached_property
    def resident(self) -> ResidentBags:
        """The training clips on the trainer's device."""
        device = self._trainer.strategy.root_device
        return ResidentBags(self.train_set, self._placement.together(self.train_set.stores, device))

    def check_processes(self, number: int) -> None:
        """Check that the clips of a batch can be shared by some processes.

        Raises:
            ValueError: they cannot.
        """
        if self.batch_size % number:
            raise InputError(
                f"batch_size must be divisible by the number of processes, {number}, got {self.batch_size}"
            )

    def train_dataloader(self) -> TrainingBatches:
        """Return this rank's share of the training batches, up to the trainer's last step."""
        trainer = self._trainer
        world_size = trainer.world_size
        self.check_processes(world_size)
        if self.whole_steps:
            return TrainingIndices(self.train_set, self._draw, trainer.max_steps, self.resident.device)
        self._place(self.train_set)
        return TrainingBatches(self.train_set, self._draw, trainer.max_steps, trainer.global_rank, world_size)

    def val_dataloader(self) -> EvaluationBatches | list[EvaluationBatches]:
        """Return this rank's share of the hold-out, or an empty list without one."""
        if not self.holds_out:
            return []
        return self._evaluation(self.val_set)

    def test_dataloader(self) -> EvaluationBatches:
        """Return this rank's share of the clips to score."""
        return self._evaluation(self.test_set)

    def transfer_batch_to_device(
        self, batch: Bags | Tensor, device: torch.device, dataloader_idx: int
    ) -> Bags | Tensor:
        """Return the batch on `device`; the copy to a GPU is asynchronous, from page-locked memory."""
        if device.type == "cpu" or isinstance(batch, Tensor):  # TrainingIndices are on the device
            return batch
        if device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(device, non_blocking=True)

    def _evaluation(self, dataset: BagDataset) -> EvaluationBatches:
        trainer = self._trainer
        self._place(dataset)
        return EvaluationBatches(dataset, self.batch_size, trainer.global_rank, trainer.world_size)

    def _place(self, dataset: BagDataset) -> None:
        device = self._trainer.strategy.root_device
        dataset.place([self._placement.frames(store, device) for store in dataset.stores])

    @property
    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise RuntimeError(
                "the data module has no trainer, whose ranks share the batches: attach it to a Trainer first"
            )
        return self.trainer

    def _training_part(self, *, held: bool) -> BagDataset:
        video_id = np.concatenate([s.columns.video_id for s in self.train_stores])
        if self.fold is None:
            of_hold_out = held_out(video_id, self.val_fraction)
        else:
            of_hold_out = in_fold(video_id, self.fold, self.folds)
        rows = np.flatnonzero(of_hold_out == held)
        if self._subset is not None and not held:
            labels = LabelTable.concatenate([s.labels for s in self.train_stores])
            rows = rows[self._subset(labels.take(rows), video_id[rows])]
        return BagDataset(self.train_stores, rows)
