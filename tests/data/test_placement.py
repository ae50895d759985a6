from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiobag.data import BagDataset
from audiobag.data.placement import Placement
from audiobag.data.store import Store
from tests.conftest import make_store

CPU = torch.device("cpu")


def placed(where: str, stores: list[Store]) -> BagDataset:
    placement = Placement(where)
    dataset = BagDataset(stores)
    dataset.place([placement.frames(store, CPU) for store in stores])
    return dataset


@pytest.mark.parametrize("where", ["memory", "device"])
def test_batches_are_the_same_with_each_placement(tmp_path: Path, where: str) -> None:
    stores = [make_store(tmp_path / f"{name}.h5", 20, seed=i, prefix=name) for i, name in enumerate("ab")]
    index = np.array([3, 19, 20, 39, 3])
    expected, found = BagDataset(stores).batch(index), placed(where, stores).batch(index)
    for name in ("frames", "lengths", "labels", "index"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_a_store_is_copied_once_or_not_at_all(store: Store) -> None:
    placement = Placement("memory")
    first = placement.frames(store, CPU)
    assert placement.frames(store, CPU) is first
    assert first.data_ptr() != store.frames.ctypes.data
    assert Placement("mapped").frames(store, CPU).data_ptr() == store.frames.ctypes.data


def test_device_placement_copies_the_frames_to_the_device(store: Store) -> None:
    frames: Tensor = Placement("device").frames(store, torch.device("meta"))
    assert frames.device.type == "meta"
    assert frames.shape == store.frames.shape


def test_unknown_placement_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^placement must be one of mapped, memory, device, got gpu"):
        Placement("gpu")
