"""Clip probabilities of a whole evaluation, gathered from all ranks into the order of the store."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric

from audiobag.bags import Bags


class ClipPredictions(Metric):
    """Collects probabilities batch by batch; `compute` returns those of all ranks, clips in order.

    A torchmetrics `Metric` for its gathering, which takes ranks with unequal shares.
    """

    full_state_update = False
    index: list[Tensor]
    probability: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("index", [], dist_reduce_fx="cat")
        self.add_state("probability", [], dist_reduce_fx="cat")

    def update(self, bags: Bags, probability: Float[Tensor, "B K"]) -> None:
        """Take one rank's probabilities of these bags."""
        self.index.append(bags.index)
        self.probability.append(probability.float())

    def compute(self) -> tuple[Int64[Tensor, " N"], Float[Tensor, "N K"]]:
        """Return the clips' numbers, ascending, and their probabilities, on the CPU."""
        index, probability = _join(self.index).cpu(), _join(self.probability).cpu()
        order = torch.argsort(index)
        return index[order], probability[order]


def _join(state: list[Tensor] | Tensor) -> Tensor:
    """Gathered states come as one tensor, those of a single process as a list."""
    return state if isinstance(state, Tensor) else torch.cat(state)
