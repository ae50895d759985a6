"""Clip probabilities of an evaluation, gathered from all ranks in the order of the store."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric

from audiobag.bags import Bags


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
        index, probability = _join(self.index).cpu(), _join(self.probability).cpu()
        order = torch.argsort(index)
        return index[order], probability[order]


def _join(state: list[Tensor] | Tensor) -> Tensor:
    """Return a state as one tensor; a single process holds a list of tensors."""
    return state if isinstance(state, Tensor) else torch.cat(state)
