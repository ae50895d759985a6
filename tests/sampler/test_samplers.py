from __future__ import annotations

import logging

import numpy as np
import pytest

from audiobag.labels import LabelTable
from audiobag.sampler import Balanced, Sampler, Uniform, Weighted
from audiobag.sampler.passes import ShuffledPasses
from audiobag.testing import SamplerSuite
from audiobag.testing.inputs import random_labels
from audiobag.utils.errors import InputError


class TestUniform(SamplerSuite):
    sampler = Uniform


class TestBalanced(SamplerSuite):
    sampler = Balanced


class TestWeighted(SamplerSuite):
    sampler = Weighted


def stream(sampler: Sampler, steps: int) -> np.ndarray:
    return np.concatenate([sampler.draw(step) for step in range(steps)])


def single_labels(counts: list[int]) -> LabelTable:
    """A table in which each clip has one class, so that a clip tells the class it was drawn for."""
    return LabelTable(np.repeat(np.arange(len(counts)), counts), np.arange(sum(counts) + 1), len(counts))


@pytest.mark.parametrize("n", [1, 3, 7, 50, 130, 256, 257, 300, 600])
def test_any_stretch_of_the_queue_is_the_same_and_its_passes_are_permutations(n: int) -> None:
    whole = ShuffledPasses(n, (7, 1)).take(0, 40 * n)
    for start, count in ((0, 1), (n - 1, 2), (17, 3 * n), (39 * n, n)):
        np.testing.assert_array_equal(ShuffledPasses(n, (7, 1)).take(start, count), whole[start:][:count])
    passes = whole.reshape(40, n)
    assert (np.sort(passes, axis=1) == np.arange(n)).all()
    assert n < 50 or len({tuple(order) for order in passes}) == 40


@pytest.mark.parametrize("n", [7, 50, 130, 300])
def test_batches_drawn_in_order_are_the_stretches_of_the_queue(n: int) -> None:
    whole, passes = ShuffledPasses(n, (0,)).take(0, 2000), ShuffledPasses(n, (0,))
    np.testing.assert_array_equal(np.concatenate([passes.take(step * 50, 50) for step in range(40)]), whole)


def test_uniform_passes_are_permutations() -> None:
    drawn = stream(Uniform(random_labels(130, 23), 50, seed=0), 13)  # 5 whole passes, none of which ends with a batch
    for start in range(0, 650, 130):
        assert sorted(drawn[start : start + 130]) == list(range(130))
    assert not np.array_equal(drawn[:130], drawn[130:260])


def test_uniform_fills_a_batch_larger_than_the_data_set() -> None:
    counts = np.bincount(Uniform(random_labels(30, 23), 100, seed=0).draw(0), minlength=30)
    assert set(counts) == {3, 4}


@pytest.mark.parametrize(
    "counts", [[5, 1, 12], [40, 25, 17, 9, 9, 4, 3, 2, 1, 1, 1, 60, 33, 8, 7, 6, 5, 5, 5, 2, 2, 2, 2]]
)
def test_balanced_is_the_queue_of_the_paper(counts: list[int]) -> None:
    """Each pass has every class once, and each pass through the list of a class has each of its clips once."""
    labels, K = single_labels(counts), len(counts)
    drawn = stream(Balanced(labels, 50, seed=1), 40)
    classes = labels.ids[drawn]
    for start in range(0, 2000 - K, K):
        assert sorted(classes[start : start + K]) == list(range(K))
    for stop in range(1, 2000, 7):
        so_far = np.bincount(classes[:stop], minlength=K)
        assert so_far.max() - so_far.min() <= 1
    for k, n in enumerate(counts):
        clips = drawn[classes == k]
        for start in range(0, len(clips) - n + 1, n):
            assert sorted(clips[start : start + n]) == list(np.flatnonzero(labels.ids == k))


def test_balanced_draws_a_clip_once_for_each_of_its_classes() -> None:
    # Lists of 1, 2, 3, 4, 6 and 12 clips, which share clips: in 12 passes a list of n clips is read 12 / n times.
    rng, sizes = np.random.default_rng(0), [1, 2, 3, 4, 6, 12]
    present = np.zeros((12, 6), bool)
    for k, n in enumerate(sizes):
        present[rng.permutation(12)[:n], k] = True
    labels = LabelTable(np.nonzero(present)[1], np.concatenate([[0], np.cumsum(present.sum(1))]), 6)
    drawn = stream(Balanced(labels, 8, seed=1), 9)  # 72 draws are 12 passes over 6 classes
    expected = present @ (12 // np.array(sizes))
    np.testing.assert_array_equal(np.bincount(drawn, minlength=12), expected)


def test_balanced_reshuffles_a_list_that_ran_out() -> None:
    drawn = stream(Balanced(single_labels([40]), 40, seed=0), 2)
    assert not np.array_equal(drawn[:40], drawn[40:])


def test_balanced_leaves_out_and_reports_classes_without_clips(caplog: pytest.LogCaptureFixture) -> None:
    table = LabelTable(np.array([0, 2, 2]), np.array([0, 1, 2, 3]), classes=4)
    drawn = stream(Balanced(table, 10, seed=0), 10)
    assert "2 of 4 classes" in caplog.text
    assert np.bincount(drawn, minlength=3)[0] == 50


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Uniform, [5, 2, 3, 11, 6, 4]),
        (Balanced, [11, 5, 3, 9, 1, 5]),
        (Weighted, [10, 5, 1, 1, 5, 6]),
    ],
)
def test_the_stream_of_a_seed_is_that_of_the_first_release(kind: type[Sampler], expected: list[int]) -> None:
    assert kind(single_labels([5, 1, 6]), 6, seed=3).draw(4).tolist() == expected


def test_weighted_draws_in_proportion_to_inverse_class_frequency() -> None:
    table = random_labels(60, 8)
    weight = (table.dense() / table.counts).sum(1)
    drawn = stream(Weighted(table, 1000, seed=0), 200)
    frequency = np.bincount(drawn, minlength=60) / len(drawn)
    np.testing.assert_allclose(frequency, weight / weight.sum(), rtol=0.15, atol=2e-4)


def test_weighted_never_draws_a_clip_without_labels() -> None:
    table = LabelTable(np.array([0, 1]), np.array([0, 0, 1, 2, 2]), 2)
    assert set(stream(Weighted(table, 100, seed=0), 5)) == {1, 2}


NO_LABELS = LabelTable(np.empty(0, np.int64), np.zeros(31, np.int64), 4)


@pytest.mark.parametrize("sampler", [Balanced, Weighted])
def test_drawing_by_class_needs_a_label(sampler: type[Sampler]) -> None:
    with pytest.raises(
        InputError, match=r"^labels must have at least one label .* none of the 30 training clips has one"
    ):
        sampler(NO_LABELS, 10, seed=0)


def test_uniform_draws_clips_without_labels() -> None:
    assert sorted(stream(Uniform(NO_LABELS, 10, seed=0), 3)) == list(range(30))


@pytest.mark.parametrize("sampler", [Balanced, Weighted])
def test_clips_without_labels_weigh_nothing(sampler: type[Sampler], caplog: pytest.LogCaptureFixture) -> None:
    """The first, the last and one in the middle of six clips have no label; clip 3 has both classes."""
    labels = LabelTable(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1, 3, 4, 4]), 2)
    with caplog.at_level(logging.INFO):
        drawn = np.bincount(stream(sampler(labels, 100, seed=0), 40), minlength=6) / 4000
    assert not drawn[[0, 2, 5]].any()
    np.testing.assert_allclose(drawn[[1, 3, 4]], [1 / 4, 1 / 2, 1 / 4], atol=0.03)
    assert "3 of 6 training clips have no label and are never drawn" in caplog.text
