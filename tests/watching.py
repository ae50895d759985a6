"""What a training step does, as a profiler and torch's function calls show it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from lightning import Callback
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

# Each has the host wait for a GPU. On a CPU most leave no operator behind, so the calls themselves are watched.
_WAITS: tuple[Callable[..., Any], ...] = (
    Tensor.item,
    Tensor.tolist,
    Tensor.cpu,
    Tensor.numpy,
    Tensor.nonzero,
    Tensor.__bool__,
    Tensor.__float__,
    Tensor.__int__,
    Tensor.__index__,
)


class _Waits(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _WAITS:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


class WatchSteps(Callback):
    """Watches whole steps, from the start of one to the start of another, the loop's own work included.

    Args:
        first: the first step watched, from 0.
        steps: how many.
    """

    operators: ClassVar[Counter[str]] = Counter()  # a step
    waits: ClassVar[list[str]] = []

    def __init__(self, first: int, steps: int) -> None:
        self.first, self.steps = first, steps

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.first:
            self._profile = profile(activities=[ProfilerActivity.CPU])
            self._waits = _Waits()
            self._profile.__enter__()
            self._waits.__enter__()
        elif batch_idx == self.first + self.steps:
            self._waits.__exit__(None, None, None)
            self._profile.__exit__(None, None, None)
            WatchSteps.waits = self._waits.found
            counts = {e.key: e.count / self.steps for e in self._profile.key_averages() if e.key.startswith("aten::")}
            WatchSteps.operators = Counter(counts)


class CountCalls(Callback):
    """Counts the calls of Lightning's own Python functions in whole steps.

    Args:
        first: the first step watched, from 0.
        steps: how many.
    """

    calls: ClassVar[float] = 0.0  # a step

    def __init__(self, first: int, steps: int) -> None:
        self.first, self.steps = first, steps

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.first:
            self._calls = 0
            sys.setprofile(self._count)
        elif batch_idx == self.first + self.steps:
            sys.setprofile(None)
            CountCalls.calls = self._calls / self.steps

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        self._calls += event == "call" and "lightning" in Path(frame.f_code.co_filename).parts
