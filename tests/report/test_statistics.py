from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from audiobag.report.statistics import (
    bootstrap_classes,
    bootstrap_map,
    clip_weights,
    estimate,
    interval,
    weighted_average_precision,
)


def test_interval_over_seeds_is_students() -> None:
    found = estimate([0.30, 0.32, 0.37])
    assert found is not None
    assert found.n == 3
    assert found.mean == pytest.approx(0.33)
    deviation = math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2)
    assert found.deviation == pytest.approx(deviation)
    half = 4.302652729911275 * deviation / math.sqrt(3)  # the 97.5 % point of t with 2 degrees of freedom, from a table
    assert (found.low, found.high) == pytest.approx((0.33 - half, 0.33 + half))


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = estimate([0.25])
    assert found is not None
    assert (found.n, found.mean, found.deviation, found.low, found.high) == (1, 0.25, None, None, None)
    assert estimate([]) is None


@pytest.mark.parametrize("values", [10_000, 7, 1], ids=["distinct", "heavy ties", "all tied"])
@pytest.mark.parametrize("positives", [1, 30])
def test_weighted_average_precision_is_scikit_learns(values: int, positives: int) -> None:
    rng = np.random.default_rng(values + positives)
    score = rng.integers(0, values, 300).astype(np.float32) / values
    label = np.zeros(300, bool)
    label[rng.choice(300, positives, replace=False)] = True
    weights = rng.poisson(1, (300, 20)).astype(np.float32)
    weights[label, 0] = 0
    found = weighted_average_precision(score, label, weights)
    assert math.isnan(found[0])
    weights, found = weights[:, weights[label].sum(0) > 0], found[weights[label].sum(0) > 0]
    expected = [average_precision_score(label, score, sample_weight=w) for w in weights.T]
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)
    assert len(found) > 5


def test_a_class_without_positives_has_no_average_precision() -> None:
    found = weighted_average_precision(np.ones(4, np.float32), np.zeros(4, bool), np.ones((4, 2), np.float32))
    assert np.isnan(found).all()


def test_bootstrap_of_map_is_that_of_drawing_the_clips_themselves() -> None:
    """Brute force: the clips drawn are put one below the other, and scikit-learn ranks them."""
    rng = np.random.default_rng(0)
    labels = rng.random((60, 5)) < 0.2
    labels[:, 3] = np.arange(60) == 5  # often not drawn: such replicates are a mean over fewer classes
    labels[:, 4] = np.arange(60) != 7  # its one negative likewise
    probability = rng.random((60, 5)).astype(np.float32).round(1)
    found = bootstrap_map(probability, labels, 25)
    (weights,) = clip_weights(60, 25)
    expected = []
    for w in weights.T.astype(int):
        drawn = np.repeat(np.arange(60), w)
        assert len(drawn) == 60
        present = [k for k in range(5) if 0 < labels[drawn, k].sum() < 60]
        expected.append(np.mean([average_precision_score(labels[drawn, k], probability[drawn, k]) for k in present]))
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)
    assert 0 < (weights[5] == 0).sum() < 25
    assert 0 < (weights[7] == 0).sum() < 25


def test_draws_are_the_same_every_time_and_bounded_in_memory() -> None:
    blocks = list(clip_weights(50, 450))
    assert [b.shape for b in blocks] == [(50, 200), (50, 200), (50, 50)]
    assert all((a == b).all() for a, b in zip(blocks, clip_weights(50, 450), strict=True))
    assert (np.concatenate(blocks, axis=1).sum(0) == 50).all()
    assert len(np.unique(np.concatenate(blocks, axis=1), axis=1).T) == 450


def test_bootstrap_over_classes_is_near_the_normal_interval_of_a_mean() -> None:
    gain = np.random.default_rng(1).normal(0.02, 0.05, 527)
    low, high = bootstrap_classes(gain)
    half = 1.96 * gain.std(ddof=1) / math.sqrt(527)
    assert (low, high) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=half / 15)
    assert bootstrap_classes(gain) == (low, high)


def test_percentile_interval() -> None:
    assert interval(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))
