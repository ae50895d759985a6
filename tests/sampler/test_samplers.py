from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from audiobag.labels import LabelTable
from audiobag.sampler import Balanced, Sampler, Uniform, Weighted
from audiobag.sampler.base import ShuffledPasses


def labels(clips: int = 400, classes: int = 23, seed: int = 0) -> LabelTable:
    rng = np.random.default_rng(seed)
    present = rng.random((clips, classes)) < 0.5 ** np.linspace(1, 7, classes)
    present[np.arange(classes), np.arange(classes)] = True
    return LabelTable(np.nonzero(present)[1], np.concatenate([[0], np.cumsum(present.sum(1))]), classes)


def stream(sampler: Sampler, steps: int) -> np.ndarray:
    return np.concatenate([sampler.draw(step) for step in range(steps)])


@pytest.mark.parametrize("classes", [2, 23])
@pytest.mark.parametrize("kind", [Uniform, Balanced, Weighted])
def test_batch_is_a_function_of_seed_and_step_alone(kind: type[Sampler], classes: int) -> None:
    table = labels(classes=classes)
    forward = [kind(table, 50, seed=3).draw(step) for step in range(40)]
    jumping = kind(table, 50, seed=3)
    for step in [39, 0, 17, 38, 17, 1]:
        np.testing.assert_array_equal(jumping.draw(step), forward[step])
    assert all(batch.shape == (50,) for batch in forward)
    assert not np.array_equal(kind(table, 50, seed=4).draw(0), forward[0])


@pytest.mark.parametrize(("n", "together"), [(7, 73), (50, 10), (130, 3), (300, 1)])
def test_passes_are_shuffled_once_while_the_steps_go_up(n: int, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a batch lies within a pass or spans several; of short passes one generator makes several."""
    made: list[object] = []
    make = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda key: made.append(key) or make(key))
    passes = ShuffledPasses(n, (0,))
    for step in range(40):
        passes.take(step * 50, 50)
    assert made == [(0, i) for i in range(-(-40 * 50 // (n * together)))]


@pytest.mark.parametrize("n", [1, 3, 50, 256, 257, 600])
def test_any_stretch_of_the_queue_is_the_same_and_its_passes_are_permutations(n: int) -> None:
    whole = ShuffledPasses(n, (7, 1)).take(0, 40 * n)
    for start, count in ((0, 1), (n - 1, 2), (17, 3 * n), (39 * n, n)):
        np.testing.assert_array_equal(ShuffledPasses(n, (7, 1)).take(start, count), whole[start:][:count])
    passes = whole.reshape(40, n)
    assert (np.sort(passes, axis=1) == np.arange(n)).all()
    assert n < 50 or len({tuple(order) for order in passes}) == 40


def test_uniform_passes_are_permutations() -> None:
    drawn = stream(Uniform(labels(clips=130), 50, seed=0), 13)  # 5 whole passes, none ends with a batch
    for start in range(0, 650, 130):
        assert sorted(drawn[start : start + 130]) == list(range(130))
    assert not np.array_equal(drawn[:130], drawn[130:260])


def test_uniform_fills_a_batch_larger_than_the_set() -> None:
    counts = np.bincount(Uniform(labels(clips=30), 100, seed=0).draw(0), minlength=30)
    assert set(counts) == {3, 4}


def naive_queue(table: LabelTable, draws: int, sampler: Balanced) -> list[tuple[int, int]]:
    """The paper's queue as one would write it down: (class, position in its list) of each draw."""
    classes = [int(k) for k in sampler._classes]
    pointer: dict[int, int] = defaultdict(int)
    queue: list[tuple[int, int]] = []
    for draw in range(draws):
        k = classes[int(sampler._queue.take(draw, 1)[0])]
        queue.append((k, pointer[k] % int(table.counts[k])))
        pointer[k] += 1
    return queue


@pytest.mark.parametrize("classes", [3, 23])
def test_balanced_is_the_papers_queue(classes: int) -> None:
    table = labels(classes=classes)
    sampler = Balanced(table, 50, seed=1)
    queue = naive_queue(table, 2000, sampler)
    drawn = stream(Balanced(table, 50, seed=1), 40)
    present = table.dense()
    handed_out: dict[int, list[int]] = defaultdict(list)
    for (k, position), clip in zip(queue, drawn):
        assert present[clip, k], "a class hands out its own clips"
        assert position == len(handed_out[k]) % table.counts[k]
        handed_out[k].append(int(clip))
    for k, clips in handed_out.items():
        n = int(table.counts[k])
        for start in range(0, len(clips) - n + 1, n):  # each run through a list has each clip once
            assert sorted(clips[start : start + n]) == list(np.flatnonzero(present[:, k]))


def test_balanced_every_aligned_pass_has_every_class_once() -> None:
    table = labels(classes=23)
    queue = Balanced(table, 50, seed=0)._queue
    for start in range(0, 230, 23):
        assert sorted(queue.take(start, 23)) == list(range(23))
    for stop in range(1, 230):
        counts = np.bincount(queue.take(0, stop), minlength=23)
        assert counts.max() - counts.min() <= 1


def test_balanced_reshuffles_a_list_that_ran_out() -> None:
    table = LabelTable(np.zeros(40, int), np.arange(41), 1)
    drawn = stream(Balanced(table, 40, seed=0), 2)
    assert not np.array_equal(drawn[:40], drawn[40:])


def test_balanced_leaves_out_and_reports_classes_without_clips(caplog: pytest.LogCaptureFixture) -> None:
    table = LabelTable(np.array([0, 2, 2]), np.array([0, 1, 2, 3]), classes=4)
    drawn = stream(Balanced(table, 10, seed=0), 10)
    assert "2 of 4 classes" in caplog.text
    assert np.bincount(drawn, minlength=3)[0] == 50


def test_weighted_draws_in_proportion_to_inverse_class_frequency() -> None:
    table = labels(clips=60, classes=8)
    present = table.dense()
    weight = (present / table.counts).sum(1)
    drawn = stream(Weighted(table, 1000, seed=0), 200)
    frequency = np.bincount(drawn, minlength=60) / len(drawn)
    np.testing.assert_allclose(frequency, weight / weight.sum(), rtol=0.15, atol=2e-4)


def test_weighted_never_draws_a_clip_without_labels() -> None:
    table = LabelTable(np.array([0, 1]), np.array([0, 0, 1, 2, 2]), 2)
    assert set(stream(Weighted(table, 100, seed=0), 5)) == {1, 2}
