"""Exact mAP and AUC of 20,371 clips and 527 classes, ties included, against scikit-learn and torchmetrics."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision

from audiobag.metrics import tagging_scores
from benchmarks.measure import Row, median, seconds, spread

CLIPS, CLASSES = 20_371, 527


def run(work: Path) -> list[Row]:
    """Measure."""
    torch.manual_seed(0)
    score = torch.rand(CLIPS, CLASSES).pow(4)
    labels = torch.rand(CLIPS, CLASSES) < 0.005
    p, y = score.numpy(), labels.numpy()
    targets = labels.long()
    taken = seconds(
        {
            "audiobag": lambda: tagging_scores(score, labels),
            "scikit-learn": lambda: (average_precision_score(y, p, average="macro"), roc_auc_score(y, p)),
            "torchmetrics": lambda: (
                multilabel_average_precision(score, targets, CLASSES),
                multilabel_auroc(score, targets, CLASSES),
            ),
        },
        repeats=3,
    )
    goals = {"scikit-learn": "10 x", "torchmetrics": "8 x"}
    ours = median(taken["audiobag"])
    rows = [Row("audiobag", ours, "s", spread(taken["audiobag"]))]
    for name, goal in goals.items():
        peer = median(taken[name])
        rows.append(Row(name, peer, "s", spread(taken[name]), "audiobag", peer / ours, goal))
    return rows
