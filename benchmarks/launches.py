"""What a training step asks of a GPU, counted without one: operators on torch's device that computes nothing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from audiobag.bags import Bags
from audiobag.experiment import build_system
from benchmarks.measure import Row
from benchmarks.stores import random_store
from benchmarks.training import configuration

B, T = 500, 10


class _Operators(TorchDispatchMode):
    """Counts operators that compute something: no views, no new memory."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__
        self.count += not (func.is_view or "empty" in name or name.startswith("_unsafe_view"))
        return func(*args, **(kwargs or {}))


def run(work: Path) -> list[Row]:
    """Count."""
    folder = work / "launches"
    store = random_store(folder / "bal_train.h5", 1000)
    random_store(folder / "eval.h5", 500, seed=1)
    system = build_system(configuration(folder, 1, "experiment=paper/attention_softmax"), store).to("meta")
    system.model.train()
    bags = Bags(
        frames=torch.empty(B, T, store.dim, dtype=torch.uint8, device="meta"),
        lengths=torch.empty(B, dtype=torch.int64, device="meta"),
        labels=torch.empty(B, store.classes, dtype=torch.bool, device="meta"),
        index=torch.empty(B, dtype=torch.int64, device="meta"),
    )
    no_autocast = patch("torch.autocast", lambda *_, **__: nullcontext())  # the meta device has none
    with no_autocast, _Operators() as operators:
        mask = bags.mask
        system.loss(system.model(bags.frames, mask), bags.labels, mask).backward()
    what = "operators of a step of the paper's network, forward and backward, in fp32; views and new memory left out"
    return [Row(what, float(operators.count), "")]
