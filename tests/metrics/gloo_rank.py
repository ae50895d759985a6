"""One of two gloo ranks: `python gloo_rank.py RANK FOLDER` scores its shares and writes what it gets to FOLDER."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torchmetrics import MetricCollection

from audiobag.metrics import AUC, DPrime, MeanAveragePrecision, Tagging

# How many of the clips are rank 0's: most of them, all of them (rank 1 sees none), none of them.
SHARES = (37, 50, 0)


def main(rank: int, folder: Path) -> None:
    """Score every share twice: all scores, and a collection of single numbers."""
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", timedelta(seconds=60), rank=rank, world_size=2)
    clips = torch.load(folder / "clips.pt")
    found = []
    for share in SHARES:
        probability, labels = (x[:share] if rank == 0 else x[share:] for x in clips)
        metrics = Tagging(), MetricCollection([MeanAveragePrecision(), AUC(), DPrime()])
        for batch in zip(probability.split(10), labels.split(10)):
            if len(batch[0]):  # an empty tensor splits into one empty batch
                for metric in metrics:
                    metric.update(*batch)
        scores, means = (metric.compute() for metric in metrics)
        found.append({n: getattr(scores, n) for n in ("average_precision", "auc", "positives")} | means)
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
