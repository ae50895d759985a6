"""Mean and maximum over 500 bags of 1 to 10 frames, 527 classes, forward and backward; audiobag also returns p."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchmil.nn import MaxPool, MeanPool

from audiobag.kernels.weighted_mean import weighted_mean
from audiobag.pooling import Average, Max
from audiobag.training.devices import keep_freed_memory
from benchmarks.measure import Row, milliseconds, seconds
from benchmarks.step import CLASSES, CLIPS, FRAMES


def both_ways(pool: Callable[[Tensor], Tensor], f: Tensor) -> Callable[[], None]:
    """Return a forward and backward pass of a pooling on f [B, T, K]."""

    def forward_and_backward() -> None:
        f.grad = None
        pool(f).sum().backward()

    return forward_and_backward


def run(work: Path) -> list[Row]:
    """Measure."""
    keep_freed_memory()
    torch.manual_seed(0)
    f = torch.rand(CLIPS, FRAMES, CLASSES, requires_grad=True)
    mask = torch.arange(FRAMES) < torch.randint(1, FRAMES + 1, (CLIPS, 1))
    rows = []
    for what, measure, theirs in (("mean", Average(1, CLASSES), MeanPool()), ("maximum", Max(1, CLASSES), MaxPool())):

        def ours(x: Tensor, measure: Average | Max = measure) -> Tensor:
            return weighted_mean(x, measure(x, x, mask), mask)[0]

        def peer(x: Tensor, theirs: MeanPool | MaxPool = theirs) -> Tensor:
            pooled: Tensor = theirs(x, mask)
            return pooled

        if not torch.allclose(ours(f), peer(f), atol=1e-5):
            raise RuntimeError(f"torchmil's {what} has other values")
        name = f"audiobag, {what}"
        candidates = {name: both_ways(ours, f), f"torchmil, {what}": both_ways(peer, f)}
        rows += milliseconds(seconds(candidates, repeats=15, warm_up=3), name, {})
    return rows
