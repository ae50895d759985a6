"""The test suite of samplers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from audiobag.data.dataset import BagDataset
from audiobag.data.loader import TrainingBatches
from audiobag.data.store import Columns, DatasetInfo, Store
from audiobag.labels import LabelTable
from audiobag.sampler import Sampler
from audiobag.testing.inputs import random_labels


class SamplerSuite:
    """Tests of a sampler.

    Attributes:
        sampler: called with (labels, batch_size, seed); a sampler's class or a `functools.partial` of one.

    Examples:
        >>> from audiobag.sampler import Uniform
        >>> class TestUniform(SamplerSuite):
        ...     sampler = Uniform
    """

    sampler: ClassVar[Callable[[LabelTable, int, int], Sampler]]

    def make(self, labels: LabelTable, batch_size: int = 48, seed: int = 3) -> Sampler:
        """Return the sampler under test."""
        return type(self).sampler(labels, batch_size, seed)

    @pytest.mark.parametrize("classes", [2, 23])
    def test_batch_is_a_function_of_seed_and_step(self, classes: int) -> None:
        labels = random_labels(400, classes)
        in_order = self.make(labels)
        expected = [in_order.draw(step) for step in range(40)]
        jumping = self.make(labels)
        for step in (39, 0, 17, 38, 17, 1):
            assert_array_equal(jumping.draw(step), expected[step])

    @pytest.mark.parametrize(("clips", "batch_size"), [(400, 1), (400, 50), (30, 100)])
    def test_batch_holds_batch_size_clips_of_the_data_set(self, clips: int, batch_size: int) -> None:
        sampler = self.make(random_labels(clips, 7), batch_size)
        for step in range(5):
            batch = sampler.draw(step)
            assert batch.dtype == np.int64
            assert batch.shape == (batch_size,)
            assert batch.min() >= 0
            assert batch.max() < clips

    def test_steps_and_seeds_differ(self) -> None:
        labels = random_labels(400, 7)
        first = self.make(labels).draw(0)
        assert not np.array_equal(first, self.make(labels).draw(1))
        assert not np.array_equal(first, self.make(labels, seed=4).draw(0))

    @pytest.mark.parametrize("ranks", [2, 3])
    def test_shares_of_the_ranks_make_the_global_batches(self, ranks: int) -> None:
        """Ranks that each build the sampler for themselves train on the batches of a single rank."""
        labels = random_labels(400, 7)
        shares = [_indices(self._batches(labels, rank, ranks)) for rank in range(ranks)]
        for whole, parts in zip(_indices(self._batches(labels)), zip(*shares), strict=True):
            assert_array_equal(np.stack(parts, 1).ravel(), whole)

    def test_continues_from_a_checkpoint(self) -> None:
        """A new stream that loads the state of another continues with the batch after it."""
        labels = random_labels(400, 7)
        whole, stopped, resumed = (self._batches(labels) for _ in range(3))
        expected, stream = _indices(whole), iter(stopped)
        for _ in range(4):
            next(stream)
        resumed.load_state_dict(stopped.state_dict())
        assert_array_equal(_indices(resumed), expected[4:])

    def _batches(self, labels: LabelTable, rank: int = 0, ranks: int = 1) -> TrainingBatches:
        return TrainingBatches(BagDataset([_store(labels)]), self.make(labels), 9, rank, ranks)


def _indices(batches: TrainingBatches) -> list[NDArray[np.int64]]:
    return [bags.index.numpy() for bags in batches]


def _store(labels: LabelTable) -> Store:
    """Return a store in memory, with one frame of one number for each clip."""
    clips, names = len(labels), tuple(f"class {k}" for k in range(labels.classes))
    columns = Columns(
        offsets=np.arange(clips + 1),
        label_ids=labels.ids,
        label_offsets=labels.offsets,
        video_id=np.array([f"{i:06d}" for i in range(clips)], np.bytes_),
        start_seconds=np.zeros(clips, np.float32),
        end_seconds=np.ones(clips, np.float32),
    )
    description = DatasetInfo(names, names, frame_seconds=1.0, scale=1.0, offset=0.0, source="random")
    return Store(Path("memory"), np.zeros((clips, 1), np.uint8), columns, description, content_sha256="")
