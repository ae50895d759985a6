"""How far a training is, how fast it is and how long it still takes."""

from __future__ import annotations

import time
from typing import Final

from lightning import Trainer

from audiobag.utils.times import duration

# Metric that is logged, the name that people read, and its number of decimals.
_SHOWN: Final = (("train/loss", "loss", 3), ("val/mAP", "val/mAP", 4))


class Pace:
    """Steps of a training over time, counted from the step at which this process started or resumed it."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first = 0

    def start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._started, self._first = time.monotonic(), trainer.global_step

    def rate(self, trainer: Trainer) -> float | None:
        """Return the steps per second, validation included; None before the first step."""
        steps, seconds = trainer.global_step - self._first, time.monotonic() - self._started
        return steps / seconds if steps > 0 and seconds > 0 else None

    def left(self, trainer: Trainer) -> float | None:
        """Return the seconds that the remaining steps take; None before the first step."""
        rate = self.rate(trainer)
        return None if rate is None else max(0, trainer.max_steps - trainer.global_step) / rate


def position(trainer: Trainer) -> str:
    """Return where a training is, such as `step 259/300`."""
    return f"step {trainer.global_step}/{trainer.max_steps}"


def numbers(trainer: Trainer, pace: Pace) -> str:
    """Return what is known at a step, such as `loss 0.033 val/mAP 0.0231 0:41 left`.

    The loss is the last one that was logged; reading it from a GPU waits for the step.
    """
    metrics = trainer.callback_metrics
    known = [f"{name} {float(metrics[key]):.{digits}f}" for key, name, digits in _SHOWN if key in metrics]
    left = pace.left(trainer)
    return " ".join([*known, *([f"{duration(left)} left"] if left else [])])
