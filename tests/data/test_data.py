from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from lightning import Trainer

from audiobag.data import BagDataModule, BagDataset, EvaluationBatches, held_out, in_fold
from audiobag.data.store import Store
from audiobag.sampler import Uniform
from tests.conftest import make_store


def reference(store: Store, i: int) -> tuple[np.ndarray, set[int]]:
    """Return the frames and the classes of one clip, by the definition of the format."""
    c = store.columns
    frames = np.asarray(store.frames[c.offsets[i] : c.offsets[i + 1]])
    return frames, set(c.label_ids[c.label_offsets[i] : c.label_offsets[i + 1]].tolist())


def test_training_needs_a_store(tmp_path: Path) -> None:
    make_store(tmp_path / "eval.h5", 25)
    with pytest.raises(ValueError, match=r"^train must name the stores to train on, got none"):
        BagDataModule(tmp_path, [], "eval").setup("fit")


def test_batch_equals_clip_by_clip(store: Store) -> None:
    index = np.array([5, 0, 59, 5, 31])
    bags = BagDataset([store]).batch(index)
    assert bags.frames.dtype == torch.uint8
    assert bags.index.tolist() == index.tolist()
    for row, i in enumerate(index):
        frames, classes = reference(store, i)
        assert bags.lengths[row] == len(frames)
        np.testing.assert_array_equal(bags.frames[row, : len(frames)].numpy(), frames)
        assert not bags.frames[row, len(frames) :].any(), "padding is zero"
        assert set(torch.nonzero(bags.labels[row]).ravel().tolist()) == classes
        assert bags.mask[row].tolist() == [True] * len(frames) + [False] * (bags.frames.shape[1] - len(frames))


def test_two_stores_and_a_selection_of_rows(tmp_path: Path) -> None:
    a, b = make_store(tmp_path / "a.h5", 20, prefix="a"), make_store(tmp_path / "b.h5", 30, seed=1, prefix="b")
    rows = np.array([3, 19, 20, 49, 25])
    dataset = BagDataset([a, b], rows)
    bags = dataset.batch(np.array([4, 1, 2, 0, 3]))
    for row, i in enumerate(rows[[4, 1, 2, 0, 3]]):
        frames, classes = reference(*((a, i) if i < 20 else (b, i - 20)))
        np.testing.assert_array_equal(bags.frames[row, : len(frames)].numpy(), frames)
        assert set(torch.nonzero(bags.labels[row]).ravel().tolist()) == classes
    assert dataset.video_id[1] == b"a000019"
    assert dataset.video_id[2] == b"b000000"


def test_stores_that_differ_are_refused_by_name(tmp_path: Path) -> None:
    a, b = make_store(tmp_path / "a.h5"), make_store(tmp_path / "b.h5", classes=8)
    with pytest.raises(ValueError, match=r"a\.h5 has classes 7, .*b\.h5 has 8"):
        BagDataset([a, b])


def test_frames_are_mapped_and_not_read(store: Store) -> None:
    dataset, frames = BagDataset([store]), store.frames
    assert isinstance(frames, np.memmap)
    file = np.memmap(store.path, frames.dtype, "r+", frames.offset, frames.shape)
    file[:] = 255 - file
    file.flush()
    bags = dataset.batch(np.arange(1))
    np.testing.assert_array_equal(bags.frames[0].numpy(), file[: bags.frames.shape[1]])


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 7, 60, 500])
def test_evaluation_visits_each_clip_once_in_equal_steps(store: Store, world_size: int, batch_size: int) -> None:
    dataset = BagDataset([store])
    ranks = [EvaluationBatches(dataset, batch_size, rank, world_size) for rank in range(world_size)]
    visits = [[bags.index for bags in rank] for rank in ranks]
    assert len({len(v) for v in visits}) == 1, "the other ranks would wait for a rank with fewer steps"
    assert all(len(index) for v in visits for index in v)
    assert sorted(torch.cat([i for v in visits for i in v]).tolist()) == list(range(60))
    if world_size == 1:
        assert torch.cat(visits[0]).tolist() == list(range(60)), "in order"


def test_more_ranks_than_clips_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="60 clips cannot be scored by 61 processes"):
        EvaluationBatches(BagDataset([store]), 10, 0, 61)


def test_hold_out_depends_on_the_id_alone() -> None:
    ids = np.array([f"{i:x}" for i in range(20_000)], np.bytes_)
    held = held_out(ids, 0.1)
    assert held.mean() == pytest.approx(0.1, abs=0.01)
    some = np.arange(0, 20_000, 7)
    np.testing.assert_array_equal(held_out(ids[some], 0.1), held[some])
    np.testing.assert_array_equal(held_out(ids.astype("S32"), 0.1), held)  # in a wider array
    assert not held_out(ids, 0.0).any()
    assert np.all(held_out(ids, 0.2)[held]), "a larger hold-out contains the smaller"


def test_hold_out_is_the_documented_hash() -> None:
    """A change of the hash would change the hold-out of every data set."""

    def share(video_id: bytes) -> float:
        h, bits = 0xCBF29CE484222325, 2**64
        for byte in video_id:
            h = ((h ^ byte) * 0x100000001B3) % bits
        h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) % bits
        h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) % bits
        return (h ^ (h >> 31)) / bits

    ids = [b"--PJHxphWEs", b"ZZ", b"video", b"b"]
    assert [round(share(i), 4) for i in ids] == [0.1335, 0.0870, 0.0804, 0.2430]
    for fraction in (0.05, 0.083, 0.1, 0.2, 0.3):
        assert held_out(np.array(ids), fraction).tolist() == [share(i) < fraction for i in ids]


def module(root: Path, **options: object) -> BagDataModule:
    options = {"train": ["bal_train"], "test": "eval", "sampler": Uniform, "batch_size": 12, **options}
    data = BagDataModule(root, **options)  # type: ignore[arg-type]
    data.trainer = create_autospec(Trainer, instance=True, world_size=1, global_rank=0, max_steps=3)
    data.trainer.strategy.root_device = torch.device("cpu")
    return data


def test_data_module_splits_the_training_clips(tmp_path: Path) -> None:
    make_store(tmp_path / "bal_train.h5")
    make_store(tmp_path / "eval.h5", 25, seed=1)
    data = module(tmp_path, val_fraction=0.3)
    data.setup("fit")
    ids = set(data.train_set.video_id) | set(data.val_set.video_id)
    assert len(data.train_set) + len(data.val_set) == len(ids) == 60
    assert sum(len(b) for b in data.val_dataloader()) == len(data.val_set) > 0
    assert sum(len(b) for b in data.test_dataloader()) == 25
    assert [len(b) for b in data.train_dataloader()] == [12, 12, 12]
    assert module(tmp_path, val_fraction=0).val_dataloader() == []
    one = module(tmp_path, train="bal_train")  # a name instead of a list
    one.setup("fit")
    assert set(one.train_set.video_id) <= ids


def test_data_module_refuses_wrong_stores_and_arguments(tmp_path: Path) -> None:
    make_store(tmp_path / "bal_train.h5")
    with pytest.raises(ValueError, match=r"no store at .*eval\.h5: make it with audiobag-prepare"):
        module(tmp_path).setup("fit")
    make_store(tmp_path / "eval.h5", classes=9)
    with pytest.raises(ValueError, match=r"bal_train\.h5 has classes 7, .*eval\.h5 has 9"):
        module(tmp_path).setup("fit")
    make_store(tmp_path / "eval.h5")
    with pytest.raises(
        ValueError, match=r"^val_fraction=1e-09 splits the training clips into 60 to train on and 0 held out"
    ):
        module(tmp_path, val_fraction=1e-9).setup("fit")
    for options, what in [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"val_fraction": 1.0}, r"val_fraction must be a number in \[0, 1\), 0 for no hold-out, got 1\.0"),
        ({"placement": "gpu"}, "placement must be one of mapped, memory, device, got gpu"),
    ]:
        with pytest.raises(ValueError, match=f"^{what}"):
            module(tmp_path, **options)
    data = module(tmp_path)
    data.trainer.world_size = 5  # type: ignore[misc, union-attr]
    with pytest.raises(ValueError, match=r"^batch_size must be divisible by the number of processes, 5, got 12"):
        data.train_dataloader()


def test_folds_share_out_the_clips_by_the_hash() -> None:
    ids = np.array([f"{i:x}" for i in range(20_000)], np.bytes_)
    folds = np.stack([in_fold(ids, fold, 5) for fold in range(5)])
    assert (folds.sum(0) == 1).all(), "each clip is in one fold"
    np.testing.assert_allclose(folds.mean(1), 0.2, atol=0.01)
    np.testing.assert_array_equal(folds[0], held_out(ids, 0.2))
    known = np.array([b"--PJHxphWEs", b"ZZ", b"video", b"b"])  # hashes 0.1335, 0.0870, 0.0804, 0.2430
    assert [in_fold(known, fold, 8).tolist() for fold in (0, 1)] == [
        [False, True, True, False],
        [True, False, False, True],
    ]


def test_a_fold_replaces_the_fraction(tmp_path: Path) -> None:
    store = make_store(tmp_path / "bal_train.h5")
    make_store(tmp_path / "eval.h5", 25, seed=1)
    held = []
    for fold in range(3):
        data = module(tmp_path, fold=fold, folds=3, val_fraction=0)
        data.setup("fit")
        assert not set(data.train_set.video_id) & set(data.val_set.video_id)
        assert len(data.train_set) + len(data.val_set) == 60
        assert sum(len(b) for b in data.val_dataloader()) == len(data.val_set)
        held += list(data.val_set.video_id)
    assert sorted(held) == sorted(store.columns.video_id)
    with pytest.raises(ValueError, match=r"^fold must be less than folds, 5, got 5"):
        module(tmp_path, fold=5)
    with pytest.raises(
        ValueError, match=r"^fold must be a whole number of at least 0, or null for val_fraction, got -1"
    ):
        module(tmp_path, fold=-1)
    with pytest.raises(ValueError, match=r"^fold=9999 splits the training clips into 60 to train on and 0 held out"):
        module(tmp_path, fold=9999, folds=10**6).setup("fit")
