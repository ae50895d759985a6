"""Mean and maximum over 500 ragged bags of 1 to 10 frames, 527 classes, forward and backward; audiobag gives p too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchmil.nn import MaxPool, MeanPool

from audiobag.hardware import keep_freed_memory
from audiobag.pooling.mean import weighted_mean
from audiobag.pooling.measure import Average, Max
from benchmarks.measure import Row, milliseconds, seconds
from benchmarks.step import CLASSES, CLIPS, FRAMES


def both_ways(pool: Callable[[Tensor], Tensor], f: Tensor) -> Callable[[], None]:
    """Return a call that pools f [B, T, K] and goes back to it."""

    def there_and_back() -> None:
        f.grad = None
        pool(f).sum().backward()

    return there_and_back


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
            raise RuntimeError(f"torchmil's {what} is another")
        name = f"audiobag, {what}"
        candidates = {name: both_ways(ours, f), f"torchmil, {what}": both_ways(peer, f)}
        rows += milliseconds(seconds(candidates, repeats=15, warm_up=3), name, {})
    return rows
