"""The progress of a run: a bar on a terminal, lines in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from audiobag.training.callbacks.pace import Pace, numbers, position
from audiobag.utils.logs import IN_BAR

_LOG = logging.getLogger(__name__)
_REFRESH_SECONDS: Final = 0.5  # between two looks at the metrics, which a GPU has to finish its step for
_SILENT_SECONDS: Final = 30.0
_EVERY: Final = 100


class Progress(ProgressBar):
    """A bar of training steps, `step 259/300`, with speed, loss, val/mAP and time left; and one of scored batches.

    `fit` uses it on a terminal only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._pace = Pace()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._next = 0.0

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the step that the training starts or continues with."""
        self._pace.start(trainer)
        self._show("train", position(trainer), trainer.global_step, trainer.max_steps)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Show the step, if the last one was not shown a moment ago."""
        now = time.monotonic()
        if self._enabled and (now >= self._next or trainer.global_step == trainer.max_steps):
            self._next = now + _REFRESH_SECONDS
            self._show_step(trainer)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Show how many batches of the hold-out are scored."""
        self._score("scoring the hold-out", batch_idx + 1, trainer.num_val_batches)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the scores of the hold-out."""
        self._end_scoring()
        if trainer.state.fn == "fit":
            self._show_step(trainer)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Show how many batches of the eval set are scored."""
        self._score("scoring the eval set", batch_idx + 1, trainer.num_test_batches)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar of scored batches."""
        self._end_scoring()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the terminal back."""
        self._close()

    def _show_step(self, trainer: Trainer) -> None:
        rate = self._pace.rate(trainer)
        speed = "" if rate is None else f"{rate:.3g} steps/s "
        self._show(
            "train", position(trainer), trainer.global_step, trainer.max_steps, speed + numbers(trainer, self._pace)
        )

    def _score(self, title: str, done: int, batches: Sequence[int | float]) -> None:
        self._show("score", title, done, sum(batches), f"{done}/{sum(batches)} batches")

    def _end_scoring(self) -> None:
        if self._bars is not None and "score" in self._tasks:
            self._bars.remove_task(self._tasks.pop("score"))

    def _show(self, kind: str, title: str, completed: float, total: float, text: str = "") -> None:
        if not self._enabled:
            return
        if self._bars is None:
            bar = BarColumn(24, finished_style="green")
            columns = (TextColumn("{task.description}"), bar, TextColumn("{task.fields[text]}"))
            self._bars = Bars(*columns, console=Console(stderr=True), refresh_per_second=4)
            self._bars.start()
        if kind not in self._tasks:
            self._tasks[kind] = self._bars.add_task(title, total=total, text=text)
        self._bars.update(self._tasks[kind], description=title, completed=completed, text=text)

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}


class ProgressLines(Callback):
    """Logs a line such as `step 100/300 loss 0.033 val/mAP 0.0231 0:41 left`.

    There is one at each validation; in a training without a hold-out, one every `val_check_interval` steps, or every
    100 if that is a fraction; and one where 30 seconds have passed in silence. A log that the terminal shows drops the
    lines while there is a bar, see `utils.logs`.
    """

    def __init__(self) -> None:
        self._pace = Pace()
        self._next = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._pace.start(trainer)
        self._next = time.monotonic() + _SILENT_SECONDS

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Log if it is time and the step is not followed by a validation, which logs."""
        step, interval = trainer.global_step, trainer.val_check_interval
        due = step % (interval if isinstance(interval, int) else _EVERY) == 0 and not trainer.enable_validation
        if due or time.monotonic() >= self._next:
            self._log(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log."""
        if trainer.state.fn == "fit":
            self._log(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log that the eval set is scored, which can take as long as the training."""
        self._say(trainer, "scoring the eval set")

    def _log(self, trainer: Trainer) -> None:
        self._next = time.monotonic() + _SILENT_SECONDS
        self._say(trainer, f"{position(trainer)} {numbers(trainer, self._pace)}")

    def _say(self, trainer: Trainer, text: str) -> None:
        if trainer.is_global_zero:
            _LOG.info(text, extra={IN_BAR: trainer.progress_bar_callback is not None})
