"""Choice of the schedule of the results: steps and averaging window, on a hold-out of the training split.

The training writes the predictions for the hold-out at each validation. It scores its own training split at the end, so
the eval set is not used:

    PYTHONPATH=docs/results audiobag-train experiment=attention_softmax data=balanced data.val_fraction=0.1 \
      data.test=bal_train callbacks.averaging=null \
      "+callbacks.keep={_target_: schedule.KeepHoldOut, folder: schedule}" \
      trainer.precision=bf16-mixed trainer.max_steps=3000 trainer.val_check_interval=100

For the spread, repeat it for two more seeds, with `seed=1 trainer.max_steps=1200` and the folder `schedule-1`, and so
on. Then make the table and the figure:

    python docs/results/schedule.py schedule schedule-1 schedule-2
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

EVERY = 100  # steps between two validations, and between two predictions of an average


class KeepHoldOut(Callback):
    """Writes labels and predictions for the hold-out at each validation, one file per step.

    Args:
        folder: where to write.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._clip: list[np.ndarray[Any, Any]] = []
        self._labels: list[np.ndarray[Any, Any]] = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Bags, *_: Any
    ) -> None:
        """Store the predictions of a batch."""
        self._clip.append(outputs["prediction"].clip.cpu().numpy())
        self._labels.append(batch.labels.cpu().numpy())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self.folder / "labels.npy", np.concatenate(self._labels))
        np.save(self.folder / f"step-{trainer.global_step:05d}.npy", np.concatenate(self._clip))
        self._clip.clear()
        self._labels.clear()


def mean_ap(probability: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Return the mAP over the classes of the hold-out."""
    return float(tagging_scores(torch.from_numpy(probability), torch.from_numpy(labels)).mAP)


def at_each_step(folder: Path) -> tuple[list[int], list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Return the steps, the predictions after each step, and the labels."""
    kept = {int(p.stem[5:]): np.load(p) for p in folder.glob("step-*.npy")}
    steps = sorted(s for s in kept if s % EVERY == 0)
    return steps, [kept[s] for s in steps], np.load(folder / "labels.npy")


def main(chosen_on: Path, others: list[Path]) -> None:
    """Write and draw the mAP on the hold-out after each step, and that of averages over windows that end there.

    Args:
        chosen_on: folder of the first seed.
        others: folders of further seeds, for the spread.
    """
    steps, predicted, labels = at_each_step(chosen_on)
    shares = (1 / 3, 2 / 3, 5 / 6)  # start of the window, as a share of its end
    rows = []
    for last, probability in zip(steps, predicted, strict=True):
        windows = [[p for s, p in zip(steps, predicted, strict=True) if share * last <= s <= last] for share in shares]
        rows.append([mean_ap(probability, labels), *(mean_ap(np.mean(window, 0), labels) for window in windows)])
    seeds = [[mean_ap(p, y) for p in found] for _, found, y in map(at_each_step, others)]
    header = ["mAP", *(f"mAP averaged from {s:.2f} of the steps" for s in shares)]
    with Path(__file__).with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["step", *header, *(f"mAP of seed {n}" for n in range(1, len(seeds) + 1))])
        for i, (step, row) in enumerate(zip(steps, rows, strict=True)):
            lines.writerow([step, *(f"{v:.4f}" for v in row), *(f"{s[i]:.4f}" if i < len(s) else "" for s in seeds)])
    figure, (rise, top) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for n, values in enumerate([[row[0] for row in rows], *seeds]):
        rise.plot(steps[: len(values)], values, label=f"seed {n}", linewidth=1.2)
    for name, values in zip(header, np.transpose(rows), strict=True):
        top.plot(steps, values, label=f"seed 0, {name}")
    if seeds:
        common = min(map(len, seeds))
        spread = np.array([[row[0] for row in rows[:common]], *(s[:common] for s in seeds)])
        name = f"{len(spread)} seeds, mAP: lowest to highest"
        top.fill_between(steps[:common], spread.min(0), spread.max(0), color="C0", alpha=0.25, linewidth=0, label=name)
    rise.set(ylabel="mAP on the hold-out", title="Attention, softmax measure")
    top.set(title="The top of it", ylim=(0.9 * np.max(rows), 1.01 * np.max(rows)))
    for axes in (rise, top):
        axes.set(xlabel="training steps")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
