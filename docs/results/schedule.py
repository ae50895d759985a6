"""The choice of the number of training steps of each system: mAP on a held-out fold against steps.

    audiobag-train -m experiment=average_unbalanced,average,max,attention_relu,attention_sigmoid,attention_softmax,google_baseline \
      data=balanced data.fold=0 callbacks=default trainer.max_steps=3000 trainer.val_check_interval=100 \
      trainer.precision=bf16-mixed hydra.sweep.dir=outputs/sweeps/schedule
    audiobag-train -m experiment=rnn_average data=balanced data.fold=0 callbacks=default trainer.max_steps=6000 \
      trainer.val_check_interval=250 trainer.precision=bf16-mixed hydra.sweep.dir=outputs/sweeps/schedule_rnn
    python docs/results/schedule.py outputs/sweeps/schedule outputs/sweeps/schedule_rnn

writes schedule.csv and schedule.png.
"""  # noqa: E501 - commands

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent


def curve(run: Path) -> list[tuple[int, float]]:
    """Return (step, mAP on the hold-out) of each validation of a run."""
    rows = []
    for path in run.glob("csv/**/metrics.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [(int(row["step"]), float(row["val/mAP"])) for row in csv.DictReader(file) if row.get("val/mAP")]
    return sorted(dict(rows).items())


def main(folders: list[Path]) -> None:
    """Write the table and the figure.

    Args:
        folders: of the two sweeps.
    """
    lines = []
    for folder in folders:
        for path in sorted(folder.glob("*/metrics.json")):
            system = json.loads(path.read_text(encoding="utf-8"))["choices"]["experiment"]
            lines += [(system, step, f"{value:.4f}") for step, value in curve(path.parent)]
    with (HERE / "schedule.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("system", "step", "hold_out_mAP"))
        table.writerows(lines)
    draw()


def draw() -> None:
    """Draw schedule.csv."""
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with (HERE / "schedule.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            curves[row["system"]].append((int(row["step"]), float(row["hold_out_mAP"])))
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for system, points in curves.items():
        (line,) = axes.plot(*zip(*points, strict=True), label=system, linewidth=1.2)
        axes.plot(*max(points, key=lambda p: p[1]), "o", color=line.get_color(), markersize=5)
    axes.set(xlabel="training steps", ylabel="mAP on the hold-out (fold 0)", ylim=(0.15, None))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "schedule.png", dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
