"""Predictions of an evaluation, of clips and of frames, gathered from all ranks in the order of the store."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from audiobag.bags import BagPrediction, Bags
from audiobag.metrics.tagging import gather_from_ranks


class ClipPredictions(Metric):
    """Collects probabilities batch by batch; `compute` returns those of all ranks, in the order of the clips.

    It is a torchmetrics `Metric`, which gathers unequal shares from several ranks.
    """

    full_state_update = False
    index: list[Tensor]
    probability: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("index", [], dist_reduce_fx="cat")
        self.add_state("probability", [], dist_reduce_fx="cat")

    def update(self, bags: Bags, probability: Float[Tensor, "B K"]) -> None:
        """Add the probabilities of some bags."""
        self.index.append(bags.index)
        self.probability.append(probability.float())

    def compute(self) -> tuple[Int64[Tensor, " N"], Float[Tensor, "N K"]]:
        """Return the clips' indices, ascending, and their probabilities, on the CPU."""
        index, probability = dim_zero_cat(self.index).cpu(), dim_zero_cat(self.probability).cpu()
        order = torch.argsort(index)
        return index[order], probability[order]


class FramePredictions(Metric):
    """Collects f and p of the real frames of chosen clips.

    It is a torchmetrics `Metric`, which gathers unequal shares from several ranks.

    Args:
        wanted: [N], true for the clips to collect, by their number in the data set.
    """

    full_state_update = False
    wanted: Tensor
    index: list[Tensor]
    frame: list[Tensor]
    measure: list[Tensor]

    def __init__(self, wanted: Bool[Tensor, " N"]) -> None:
        super().__init__(dist_sync_fn=gather_from_ranks)
        self.register_buffer("wanted", wanted, persistent=False)
        for name in ("index", "frame", "measure"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, bags: Bags, prediction: BagPrediction) -> None:
        """Add the predictions of some bags."""
        own = bags.mask & self.wanted[bags.index][:, None]
        self.index.append(bags.index[:, None].expand_as(own)[own][:, None])
        self.frame.append(prediction.frame[own].float())
        if prediction.measure is not None:
            self.measure.append(prediction.measure[own].float())

    def compute(self) -> tuple[Float[Tensor, "F K"], Float[Tensor, "F K"] | None]:
        """Return f, and p if the model has a measure, with the frames of all clips end to end, on the CPU."""
        order = torch.argsort(dim_zero_cat(self.index)[:, 0], stable=True).cpu()
        frame = dim_zero_cat(self.frame).cpu()[order]
        return frame, dim_zero_cat(self.measure).cpu()[order] if len(self.measure) else None


class CollectFrames(Callback):
    """Keeps f and p of chosen clips of a test in `frame` and `measure` [F, K], which is None without a measure."""

    def __init__(self, wanted: Bool[Tensor, " N"]) -> None:
        self._predictions = FramePredictions(wanted)
        self.frame: Tensor | None = None
        self.measure: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Move what is kept to the device of the predictions."""
        self._predictions.to(trainer.strategy.root_device)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Bags, *_: Any
    ) -> None:
        """Add a batch."""
        self._predictions.update(batch, outputs["prediction"])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the frames of all ranks."""
        self.frame, self.measure = self._predictions.compute()
        self._predictions.reset()
