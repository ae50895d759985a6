from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiobag.data import BagDataModule, LongTail, held_out
from audiobag.data.store import open_store
from audiobag.labels import LabelTable
from tests.conftest import make_store


def table(labels: list[list[int]], classes: int) -> LabelTable:
    offsets = np.cumsum([0, *map(len, labels)])
    return LabelTable(np.array([k for clip in labels for k in clip], np.int16), offsets, classes)


def ids(n: int) -> np.ndarray:
    return np.array([f"clip{i:05d}" for i in range(n)], np.bytes_)


def test_counts_fall_with_the_rank_and_every_class_keeps_a_handful() -> None:
    # Ten classes of 1,000, 200, 200 ... clips with a single label, for which the rule gives exact numbers.
    counts = [1000] + [200] * 9
    labels = table([[k] for k, n in enumerate(counts) for _ in range(n)], 10)
    kept = LongTail(exponent=2.0, smallest=12)(labels, ids(len(labels)))
    found = labels.take(np.flatnonzero(kept)).counts
    expected = [min(n, max(12, int(np.ceil(1000 * rank**-2.0 - 1e-9)))) for rank, n in enumerate(counts, 1)]
    assert found.tolist() == expected
    assert expected[1] == 200, "a class with fewer clips than its rank allows keeps all of them"


def test_a_clip_counts_for_its_rarest_class() -> None:
    # Every clip has class 0. Half of the clips also have class 1, which decides about them.
    labels = table([[0] if i % 2 else [0, 1] for i in range(400)], 2)
    kept = LongTail(exponent=3.0, smallest=5)(labels, ids(400))
    assert kept[1::2].all(), "the most frequent class removes no clip"
    assert kept[::2].sum() == 50, "400 / 2^3"


def test_a_class_that_lost_clips_to_rarer_classes_gets_some_back() -> None:
    # Class 1 occurs only in clips of rarer classes, which lose clips whether these have class 1 or not.
    clips = [[0]] * 1000 + [[1, 2 + i // 5] for i in range(105)] + [[2 + i % 21] for i in range(21 * 95)]
    labels = table(clips, 23)
    for prefix in (b"a", b"b", b"c", b"d"):
        kept = LongTail(exponent=4.0, smallest=10)(labels, np.char.add(prefix, ids(len(clips))))
        counts = labels.take(np.flatnonzero(kept)).counts
        assert counts.min() == 10
        assert counts[1] < 20, "no more than were missing"


def test_choice_depends_on_the_ids_alone() -> None:
    rng = np.random.default_rng(0)
    labels = table([sorted(rng.choice(12, rng.integers(1, 4), replace=False).tolist()) for _ in range(500)], 12)
    names, shuffle = ids(500), rng.permutation(500)
    kept = LongTail(1.5)(labels, names)
    np.testing.assert_array_equal(LongTail(1.5)(labels.take(shuffle), names[shuffle]), kept[shuffle])
    assert 0 < kept.sum() < 500
    assert LongTail(0.0)(labels, names).all(), "exponent 0 keeps all"


def test_clips_without_labels_stay() -> None:
    assert LongTail()(table([[], [0], []], 1), ids(3)).all()


def test_of_no_clips_none_are_chosen() -> None:
    assert LongTail()(table([], 1), ids(3)[:0]).tolist() == []


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^exponent must be a number in \[0, inf\), got -1\.0"):
        LongTail(exponent=-1.0)
    with pytest.raises(ValueError, match=r"^smallest must be a whole number of at least 1, got 0"):
        LongTail(smallest=0)


def test_the_hold_out_is_not_reduced(tmp_path: Path) -> None:
    store = make_store(tmp_path / "bal_train.h5", 400)
    make_store(tmp_path / "eval.h5", 25, seed=1)
    data = BagDataModule(tmp_path, ["bal_train"], "eval", val_fraction=0.3, subset=LongTail(1.5, 2))
    held = held_out(store.columns.video_id, 0.3)
    assert data.val_set.video_id.tolist() == store.columns.video_id[held].tolist()
    assert 0 < len(data.train_set) < (~held).sum()
    assert not set(data.train_set.video_id) & set(data.val_set.video_id)


@pytest.mark.audioset
def test_the_real_split_gets_a_steep_tail(audioset: Path, tmp_path: Path) -> None:
    from audiobag.prepare import prepare

    prepare(str(audioset / "features.tar.gz"), tmp_path)
    store = open_store(tmp_path / "bal_train.h5")
    kept = LongTail()(store.labels, store.columns.video_id)
    counts = np.sort(store.labels.take(np.flatnonzero(kept)).counts)[::-1]
    assert (int(kept.sum()), counts[:2].tolist(), int(counts[-1])) == (9044, [2522, 2050], 12)
