"""Operators of a training step on a GPU, counted without one, on torch's meta device."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from audiobag.bags import Bags
from audiobag.loss import ClipBCE
from benchmarks.measure import Row
from benchmarks.step import CLASSES, CLIPS, DIM, FRAMES, paper_model


class Operators(TorchDispatchMode):
    """Counts operators that compute something: neither views nor allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__
        self.count += not (func.is_view or "empty" in name or name.startswith("_unsafe_view"))
        return func(*args, **(kwargs or {}))


def run(work: Path) -> list[Row]:
    """Count."""
    model, loss = paper_model().to("meta"), ClipBCE()
    bags = Bags(
        frames=torch.empty(CLIPS, FRAMES, DIM, dtype=torch.uint8, device="meta"),
        lengths=torch.empty(CLIPS, dtype=torch.int64, device="meta"),
        labels=torch.empty(CLIPS, CLASSES, dtype=torch.bool, device="meta"),
        index=torch.empty(CLIPS, dtype=torch.int64, device="meta"),
    )
    no_autocast = patch("torch.autocast", lambda *_, **__: nullcontext())  # The meta device has no autocast.
    with no_autocast, Operators() as operators:
        mask = bags.mask
        loss(model(bags.frames, mask), bags.labels, mask).backward()
    what = "operators of a step of the paper's network, forward and backward, in fp32, without views and allocations"
    return [Row(what, float(operators.count), "")]
