from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audiobag.data import BagDataset
from audiobag.data.loader import TrainingBatches, TrainingIndices
from audiobag.data.placement import Placement
from audiobag.data.resident import ResidentBags, packed
from audiobag.sampler import Balanced
from tests.conftest import make_store

CPU = torch.device("cpu")


@pytest.mark.parametrize("shortest", [1, 10])
@pytest.mark.parametrize("classes", [7, 8, 11])
def test_batches_are_those_of_the_data_set(tmp_path: Path, classes: int, shortest: int) -> None:
    stores = [
        make_store(tmp_path / f"{name}.h5", 20, classes, seed=i, prefix=name, shortest=shortest)
        for i, name in enumerate("ab")
    ]
    dataset = BagDataset(stores, np.arange(39, 2, -1))
    resident = ResidentBags(dataset, Placement("device").together(stores, CPU))
    index = np.array([0, 36, 17, 17, int(dataset.lengths.argmax())])
    expected, found = dataset.batch(index), resident.batch(torch.from_numpy(index))
    for name in ("frames", "lengths", "labels", "index"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_all_batches_have_the_length_of_the_longest_bag(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.h5")
    dataset = BagDataset([store])
    resident = ResidentBags(dataset, Placement("device").together([store], CPU))
    shortest = torch.tensor([int(dataset.lengths.argmin())])
    assert resident.batch(shortest).frames.shape[1] == dataset.lengths.max()
    assert not resident.batch(shortest).frames[0, int(dataset.lengths.min()) :].any()


def test_stores_together_are_copied_once(tmp_path: Path) -> None:
    stores = [make_store(tmp_path / f"{name}.h5", 20, prefix=name) for name in "ab"]
    placement = Placement("device")
    frames = placement.together(stores, CPU)
    assert torch.equal(frames, torch.cat([torch.from_numpy(store.frames) for store in stores]))
    assert placement.frames(stores[0], CPU).data_ptr() == frames.data_ptr()


def test_labels_take_one_bit_each(tmp_path: Path) -> None:
    labels = make_store(tmp_path / "a.h5", classes=11).labels
    bits = np.unpackbits(packed(labels), axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[:, :11], labels.dense())
    assert not bits[:, 11:].any()


@pytest.mark.parametrize("start", [0, 5, 40])
def test_numbers_are_those_of_the_training_batches(tmp_path: Path, start: int) -> None:
    dataset = BagDataset([make_store(tmp_path / "a.h5")])
    sampler = Balanced(dataset.labels, 16, 0)
    batches, numbers = TrainingBatches(dataset, sampler, 70), TrainingIndices(dataset, sampler, 70, CPU)
    for loader in (batches, numbers):
        loader.load_state_dict({"next_step": start})
    rows = iter(numbers)
    for position, batch in enumerate(batches, start + 1):
        assert torch.equal(next(rows), batch.index)
        assert numbers.state_dict() == {"next_step": position}
    assert next(rows, None) is None
