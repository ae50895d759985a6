"""The LightningDataModule: stores in, batches out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule, Trainer
from numpy.typing import NDArray

from audiobag.bags import Bags
from audiobag.data.dataset import BagDataset, check_alike
from audiobag.data.loader import Draw, EvaluationBatches, TrainingBatches
from audiobag.data.placement import Placement
from audiobag.data.split import held_out
from audiobag.errors import UserError
from audiobag.labels import LabelTable
from audiobag.store import Store, open_store
from audiobag.values import check_number, check_path, check_whole, listed


class BagDataModule(LightningDataModule):
    """Stores of one data set, as batches to train on, to validate on and to score.

    Args:
        root: the folder that holds the stores.
        train: the name, or names, of the stores to train on, `bal_train` for `<root>/bal_train.h5`.
        test: name of the store to score.
        sampler: makes the training sampler from (labels, batch_size, seed); not needed to score.
        batch_size: clips of a global batch, over all ranks.
        val_fraction: how much of the training clips validates instead (see `held_out`); 0 for none.
        seed: of the sampler.
        placement: where the frames lie: mapped, memory or device (see `Placement`).
        subset: (labels, video_id [N]) -> [N], which of the clips that are not held out to train on, such as
            `LongTail`; all of them if not given.

    Raises:
        UserError: a value, or a store, that cannot be.
    """

    def __init__(
        self,
        root: str | Path,
        train: Sequence[str],
        test: str,
        sampler: Callable[[LabelTable, int, int], Draw] | None = None,
        batch_size: int = 500,
        val_fraction: float = 0.1,
        seed: int = 0,
        placement: str = "mapped",
        subset: Callable[[LabelTable, NDArray[np.character]], NDArray[np.bool_]] | None = None,
    ) -> None:
        super().__init__()
        check_whole("data.batch_size", batch_size)
        check_number("data.val_fraction", val_fraction, "[0, 1)", ", 0 for no hold-out")
        check_path("data.root", root)
        self.root = Path(root)
        self.train_names, self.test_name = tuple(map(str, listed(train))), test
        self.batch_size, self.val_fraction, self.seed = batch_size, val_fraction, seed
        self._sampler, self._subset = sampler, subset
        self.placement = placement
        self._placement = Placement(placement)

    @cached_property
    def train_stores(self) -> tuple[Store, ...]:
        """The stores trained on."""
        return tuple(open_store(self.root / f"{name}.h5") for name in self.train_names)

    @cached_property
    def test_store(self) -> Store:
        """The store scored."""
        return open_store(self.root / f"{self.test_name}.h5")

    @cached_property
    def train_set(self) -> BagDataset:
        """The training clips that are not held out, or the chosen ones among them."""
        return self._training_part(held=False)

    @cached_property
    def val_set(self) -> BagDataset:
        """The training clips that are held out."""
        return self._training_part(held=True)

    @cached_property
    def test_set(self) -> BagDataset:
        """The clips to score, in the order of their store."""
        return BagDataset([self.test_store])

    def setup(self, stage: str) -> None:
        """Open what the stage needs, so that what is wrong with it shows before any work."""
        if stage == "fit":
            check_alike(self.train_stores[0], self.test_store)
            if not len(self.train_set) or (self.val_fraction and not len(self.val_set)):
                raise UserError(
                    f"data.val_fraction={self.val_fraction} cuts the training clips into {len(self.train_set)} to"
                    f" train on and {len(self.val_set)} held out: choose another fraction, or 0 for no hold-out"
                )

    def train_dataloader(self) -> TrainingBatches:
        """Return this rank's share of every training batch up to the trainer's last step."""
        trainer = self._trainer
        world_size = trainer.world_size
        if self.batch_size % world_size:
            raise UserError(
                f"data.batch_size={self.batch_size} does not divide among {world_size} processes: every process"
                " must take equally many clips of a batch"
            )
        if self._sampler is None:
            raise UserError("no sampler was given, so there is nothing to train on")
        self._place(self.train_set)
        sampler = self._sampler(self.train_set.labels, self.batch_size, self.seed)
        return TrainingBatches(self.train_set, sampler, trainer.max_steps, trainer.global_rank, world_size)

    def val_dataloader(self) -> EvaluationBatches | list[EvaluationBatches]:
        """Return this rank's share of the hold-out; nothing where there is none."""
        if not self.val_fraction:
            return []
        return self._evaluation(self.val_set)

    def test_dataloader(self) -> EvaluationBatches:
        """Return this rank's share of the clips to score."""
        return self._evaluation(self.test_set)

    def transfer_batch_to_device(self, batch: Bags, device: torch.device, dataloader_idx: int) -> Bags:
        """Return the batch on `device`; from page-locked memory to a GPU, which need not wait for it."""
        if device.type == "cpu":
            return batch  # it was gathered there
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
            raise RuntimeError("batches are cut for a trainer's ranks: give the data module to a Trainer first")
        return self.trainer

    def _training_part(self, *, held: bool) -> BagDataset:
        video_id = np.concatenate([s.columns.video_id for s in self.train_stores])
        rows = np.flatnonzero(held_out(video_id, self.val_fraction) == held)
        if self._subset is not None and not held:
            labels = LabelTable.concatenate([s.labels for s in self.train_stores])
            rows = rows[self._subset(labels.take(rows), video_id[rows])]
        return BagDataset(self.train_stores, rows)
