"""TensorBoard: event files in the run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from audiobag.tracking.tracker import Subject, Tracker, image_of, need


class TensorBoardTracker(Tracker):
    """Writes `tensorboard/` in the run directory; `tensorboard --logdir outputs/sweeps/NAME` shows a whole sweep.

    It records the paths of checkpoint and predictions, which are in the same directory, and does not copy them.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    title = "tensorboard"

    def __init__(self) -> None:
        super().__init__()
        need("tensorboard", "tensorboard")
        self._writer: Any = None

    def _start(self, subject: Subject) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(subject.run.path / "tensorboard"))
        self._text("config", json.dumps(subject.config, indent=2, default=str))

    def _numbers(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def _picture(self, name: str, figure: Figure, step: int) -> None:
        self._writer.add_image(name, np.asarray(image_of(figure).convert("RGB")), step, dataformats="HWC")

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        cells = [columns, ["---"] * len(columns), *(["" if v is None else str(v) for v in row] for row in rows)]
        self._writer.add_text(name, "\n".join("| " + " | ".join(row) + " |" for row in cells), step)

    def _summarise(self, numbers: Mapping[str, float]) -> None:
        self._text("summary", json.dumps(numbers, indent=2))

    def _file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None:
        self._text(kind, json.dumps({"path": str(path.resolve()), **about}, indent=2))

    def _finish(self, code: int) -> None:
        if self._writer is not None:
            self._text("exit_code", str(code))
            self._writer.close()

    def _text(self, name: str, text: str) -> None:
        """Write a text unchanged, as an indented block in Markdown."""
        self._writer.add_text(name, "\n".join("    " + line for line in text.splitlines()))
