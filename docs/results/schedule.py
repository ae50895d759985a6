"""How the schedule of the results was chosen: steps and averaging window, on a hold-out of the training split.

The training, which keeps the hold-out's predictions at each validation (from this folder):

    PYTHONPATH=. audiobag-train experiment=paper/attention_softmax data=balanced data.val_fraction=0.1 \
      callbacks.averaging=null "+callbacks.keep={_target_: schedule.KeepHoldOut, folder: schedule}" \
      trainer.max_steps=1500 trainer.val_check_interval=50

The choice, as a table and a picture:

    python schedule.py schedule
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from audiobag.bags import Bags
from audiobag.metrics import tagging_scores

EVERY = 50  # steps between two validations, and so between two members of an average


class KeepHoldOut(Callback):
    """Writes the hold-out's labels and its predictions at each validation, one file a step.

    Args:
        folder: where to.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._clip: list[np.ndarray[Any, Any]] = []
        self._labels: list[np.ndarray[Any, Any]] = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Bags, *_: Any
    ) -> None:
        """Keep a batch."""
        self._clip.append(outputs["prediction"].clip.cpu().numpy())
        self._labels.append(batch.labels.cpu().numpy())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self.folder / "labels.npy", np.concatenate(self._labels))
        np.save(self.folder / f"step-{trainer.global_step:05d}.npy", np.concatenate(self._clip))
        self._clip.clear()
        self._labels.clear()


def mean_ap(probability: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Return mAP over the classes that the hold-out has."""
    return float(tagging_scores(torch.from_numpy(probability), torch.from_numpy(labels)).mAP)


def main(folder: Path) -> None:
    """Print and write mAP on the hold-out after each step, alone and averaged over windows that end there."""
    labels = np.load(folder / "labels.npy")
    kept = {int(p.stem[5:]): np.load(p) for p in sorted(folder.glob("step-*.npy"))}
    steps = sorted(s for s in kept if s % EVERY == 0)
    shares = (1 / 3, 1 / 2, 2 / 3)  # where the window begins, as a share of the step at which it ends
    rows = []
    for last in steps:
        row = [last, mean_ap(kept[last], labels)]
        for share in shares:
            window = [kept[s] for s in steps if share * last <= s <= last]
            row.append(mean_ap(np.mean(window, 0), labels))
        rows.append(row)
        print(*(f"{v:8.4f}" if isinstance(v, float) else f"{v:6d}" for v in row))  # noqa: T201
    header = ["step", "mAP", *(f"mAP averaged from {s:.2f} of the steps" for s in shares)]
    with Path("schedule.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *([r[0], *(f"{v:.4f}" for v in r[1:])] for r in rows)])
    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    table = np.array(rows)
    for column, name in enumerate(header[1:], 1):
        axes.plot(table[:, 0], table[:, column], label=name)
    axes.set(xlabel="training steps", ylabel="mAP on the hold-out", title="Attention, softmax measure, seed 0")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig("schedule.png", dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
