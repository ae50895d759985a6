"""Learning rates over a training, stepped once a batch."""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole


class WarmupCosine(LRScheduler):
    r"""A linear rise to the optimizer's rate $\eta$, then half a cosine down to a fraction of it.

    $$\eta_s = \begin{cases}
      \eta \, (s + 1) / W & s < W \\
      \eta \left[ r + (1 - r) \tfrac{1}{2} \left( 1 + \cos \pi \tfrac{s - W}{S - W} \right) \right] & s \ge W
    \end{cases}$$

    for the steps s = 0, ..., S - 1, and $\eta_s = r \eta$ after them.

    Args:
        optimizer: its rates are those after the warm-up.
        steps: S, the steps of the training.
        warmup: W, the steps of the rise; 0 for none.
        floor: r, in [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, optimizer: Optimizer, steps: int, warmup: int = 100, floor: float = 0.0) -> None:
        check_whole("steps", steps)
        check_whole("warmup", warmup, 0)
        if warmup >= steps:
            raise InputError(
                f"warmup must be less than steps={steps}, got {warmup}: train longer or shorten the warm-up"
            )
        check_number("floor", floor, "[0, 1]")
        self.steps, self.warmup, self.floor = steps, warmup, floor
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group of parameters in the present step."""
        step = self.last_epoch
        if step < self.warmup:
            share = (step + 1) / self.warmup
        else:
            done = min((step - self.warmup) / (self.steps - self.warmup), 1.0)
            share = self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2
        return [rate * share for rate in self.base_lrs]
