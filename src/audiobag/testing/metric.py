"""The test suite of metrics."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.testing import assert_close
from torchmetrics import Metric, MetricCollection

Clips = tuple[Tensor, Tensor]
# Of 50 clips rank 0 gets most, all (rank 1 sees none) and none.
_SHARES = (37, 50, 0)


class MetricSuite:
    """Tests of a metric of probabilities [N, K] and labels [N, K].

    Attributes:
        metric: called without arguments; a metric's class, or a function that returns a metric or a `MetricCollection`.
        tolerance: largest difference between the results of two ways to score the same clips.
        oracle_tolerance: largest difference, absolute and relative, from the oracle.

    Examples:
        >>> from audiobag.metrics import AUC
        >>> class TestAUC(MetricSuite):
        ...     metric = AUC
    """

    metric: ClassVar[Callable[[], Metric | MetricCollection]]
    tolerance: ClassVar[float] = 0.0
    oracle_tolerance: ClassVar[float] = 1e-6

    def make(self) -> Metric | MetricCollection:
        """Return the metric under test."""
        return type(self).metric()

    def oracle(self, probability: NDArray[np.float64], labels: NDArray[np.bool_]) -> list[Any] | None:
        """Return the expected numbers, as `numbers` lists them; None skips the comparison.

        Args:
            probability: [N, K].
            labels: [N, K].
        """
        return None

    def numbers(self, result: Any) -> list[Tensor]:
        """Return what `compute` returned as a list of tensors; override it if that is not one tensor."""
        return [result]

    @pytest.fixture
    def clips(self) -> Clips:
        """Scores and labels with ties, a class without positives and a class without negatives."""
        generator = torch.Generator().manual_seed(0)
        probability = torch.rand(50, 6, generator=generator).mul(20).round() / 20
        labels = torch.rand(50, 6, generator=generator) < 0.3
        labels[:, 1], labels[:, 4] = False, True
        return probability, labels

    def test_equals_the_oracle(self, clips: Clips) -> None:
        expected = self.oracle(clips[0].double().numpy(), clips[1].numpy())
        if expected is None:
            pytest.skip("no oracle")
        found = [x.double() for x in self.numbers(self._score(clips, 50))]
        wanted = [torch.as_tensor(x, dtype=torch.float64) for x in expected]
        assert_close(found, wanted, atol=self.oracle_tolerance, rtol=self.oracle_tolerance, equal_nan=True)

    @pytest.mark.parametrize("size", [1, 7])
    def test_batches_equal_one_pass(self, clips: Clips, size: int) -> None:
        self._assert_same(self._score(clips, size), self._score(clips, 50))

    def test_order_of_clips_changes_nothing(self, clips: Clips) -> None:
        order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
        self._assert_same(self._score((clips[0][order], clips[1][order])), self._score(clips))

    def test_reset_forgets(self, clips: Clips) -> None:
        metric = self.make()
        metric.update(clips[0].flip(0), clips[1])
        metric.reset()
        self._assert_same(self._score(clips, metric=metric), self._score(clips))

    def test_pickled_metric_continues(self, clips: Clips) -> None:
        metric = self.make()
        metric.update(clips[0][:20], clips[1][:20])
        copy = pickle.loads(pickle.dumps(metric))
        self._assert_same(self._score((clips[0][20:], clips[1][20:]), metric=copy), self._score(clips))

    def test_forward_returns_the_batch_and_keeps_the_whole(self, clips: Clips) -> None:
        first, second = (clips[0][:30], clips[1][:30]), (clips[0][30:], clips[1][30:])
        metric = self.make()
        metric(*first)
        self._assert_same(metric(*second), self._score(second))
        self._assert_same(metric.compute(), self._score(clips))

    def test_two_ranks_equal_one(self, clips: Clips, tmp_path: Path) -> None:
        """Two processes with unequal shares, one of them empty, each return the score of all clips."""
        arguments = (self.make(), [x.numpy() for x in clips], tmp_path)
        torch.multiprocessing.spawn(_score_shares, arguments, nprocs=2)  # type: ignore[attr-defined,no-untyped-call]
        expected = self._score(clips)
        for rank in range(2):
            for found in pickle.loads((tmp_path / f"{rank}.pkl").read_bytes()):
                self._assert_same(found, expected)

    def _score(self, clips: Clips, size: int = 7, metric: Metric | MetricCollection | None = None) -> Any:
        return _compute(metric or self.make(), clips, size)

    def _assert_same(self, found: Any, expected: Any) -> None:
        a, b = self.numbers(found), self.numbers(expected)
        assert_close(a, b, atol=self.tolerance, rtol=self.tolerance, equal_nan=True)


def _compute(metric: Metric | MetricCollection, clips: Clips, size: int) -> Any:
    if len(clips[0]):  # an empty tensor splits into one empty batch
        for batch in zip(*(torch.split(x, size) for x in clips)):
            metric.update(*batch)
    return metric.compute()


def _score_shares(rank: int, metric: Metric, clips: list[NDArray[Any]], folder: Path) -> None:
    """Score this rank's part of each of the shares, and write the results to the folder."""
    timeout = timedelta(seconds=60)
    dist.init_process_group("gloo", f"file://{folder / 'rendezvous'}", timeout, rank=rank, world_size=2)
    results = []
    for share in _SHARES:
        part = slice(None, share) if rank == 0 else slice(share, None)
        probability, labels = (torch.from_numpy(x[part]) for x in clips)
        metric.reset()
        results.append(_compute(metric, (probability, labels), 10))
    (folder / f"{rank}.pkl").write_bytes(pickle.dumps(results))
    dist.barrier()
    dist.destroy_process_group()
