from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from audiobag.report.statistics import (
    CLASS_REPLICATES,
    bootstrap_map,
    bootstrap_mean,
    bootstrap_weights,
    estimate,
    interval,
    weighted_average_precision,
    within,
)


def test_the_interval_over_seeds_is_that_of_students_t() -> None:
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
def test_weighted_average_precision_equals_scikit_learn(values: int, positives: int) -> None:
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


def test_bootstrap_of_map_equals_drawing_the_clips_themselves() -> None:
    """Brute force: the drawn clips are repeated, and scikit-learn ranks them."""
    rng = np.random.default_rng(0)
    labels = rng.random((60, 5)) < 0.2
    labels[:, 3] = np.arange(60) == 5  # replicates without this clip are a mean over fewer classes
    labels[:, 4] = np.arange(60) != 7  # and so are those without this one
    probability = rng.random((60, 5)).astype(np.float32).round(1)
    found = bootstrap_map(probability, labels, 25)
    (weights,) = bootstrap_weights(60, 25)
    expected = []
    for w in weights.T.astype(int):
        drawn = np.repeat(np.arange(60), w)
        assert len(drawn) == 60
        present = [k for k in range(5) if 0 < labels[drawn, k].sum() < 60]
        expected.append(np.mean([average_precision_score(labels[drawn, k], probability[drawn, k]) for k in present]))
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)
    assert 0 < (weights[5] == 0).sum() < 25
    assert 0 < (weights[7] == 0).sum() < 25


def test_draws_are_reproducible_and_come_in_blocks() -> None:
    blocks = list(bootstrap_weights(50, 450))
    assert [b.shape for b in blocks] == [(50, 200), (50, 200), (50, 50)]
    assert all((a == b).all() for a, b in zip(blocks, bootstrap_weights(50, 450), strict=True))
    assert (np.concatenate(blocks, axis=1).sum(0) == 50).all()
    assert len(np.unique(np.concatenate(blocks, axis=1), axis=1).T) == 450


def test_bootstrap_of_a_mean_has_scipys_standard_error() -> None:
    gain = np.random.default_rng(1).normal(0.02, 0.05, 527)
    replicates = bootstrap_mean(gain)
    expected = stats.bootstrap((gain,), np.mean, n_resamples=4000, rng=1)
    assert len(replicates) == CLASS_REPLICATES
    assert replicates.std(ddof=1) == pytest.approx(expected.standard_error, rel=0.05)
    assert replicates.mean() == pytest.approx(gain.mean(), abs=3 * expected.standard_error / math.sqrt(4000))
    assert (bootstrap_mean(gain) == replicates).all()


def test_bootstrap_interval_of_map_is_that_of_scipy_and_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random((80, 3)) < 0.3
    probability = (rng.random((80, 3)) + 0.5 * labels).astype(np.float32)

    def mAP(rows: np.ndarray) -> float:  # noqa: N802 - the field's name
        return float(np.mean([average_precision_score(labels[rows, k], probability[rows, k]) for k in range(3)]))

    score = mAP(np.arange(80))
    drawn = stats.bootstrap((np.arange(80),), mAP, n_resamples=400, vectorized=False, method="percentile", rng=3)
    found = interval(score, bootstrap_map(probability, labels, 400))
    assert found is not None
    half = 1.959964 * float(drawn.standard_error)
    assert found == pytest.approx((score - half, score + half), abs=0.15 * half)


def on_logit_scale(score: float, half: float) -> tuple[float, float]:
    """The delta method: a width of h at x is h / (x (1 - x)) at its log-odds."""
    odds, factor = score / (1 - score), math.exp(half / (score * (1 - score)))
    return odds / factor / (1 + odds / factor), odds * factor / (1 + odds * factor)


def test_an_interval_is_centred_at_the_score_or_stays_between_its_bounds() -> None:
    replicates = np.array([0.4, 0.6, 0.8])  # standard deviation 0.2
    assert interval(0.5, replicates) == pytest.approx((0.5 - 0.3919928, 0.5 + 0.3919928))
    for score in (0.1, 0.5, 0.9):
        assert interval(score, replicates, 0, 1) == pytest.approx(on_logit_scale(score, 0.3919928), abs=1e-6)
    assert interval(1.0, replicates, 0, 1) == (1, 1)
    low, high = interval(50.0, 100 * replicates, 0, 100) or (math.nan, math.nan)
    assert (low / 100, high / 100) == pytest.approx(on_logit_scale(0.5, 0.3919928), abs=1e-6)


@pytest.mark.parametrize("score", [1e-6, 0.01, 0.3, 0.9999])
def test_a_narrow_interval_is_the_same_on_either_scale(score: float) -> None:
    half = 1e-4 * score * (1 - score)
    assert within(score, half, 0, 1) == pytest.approx((score - half, score + half), rel=1e-8, abs=1e-8 * half)


@pytest.mark.parametrize(
    ("value", "replicates"), [(0.5, []), (0.5, [0.4]), (math.nan, [0.4, 0.6]), (2.0, [1.0, math.inf])]
)
def test_there_is_no_interval_without_two_finite_replicates(value: float, replicates: list[float]) -> None:
    assert interval(value, np.array(replicates)) is None


def test_an_interval_over_seeds_stays_between_the_bounds() -> None:
    found = estimate([0.9, 0.99], 0, 1)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(on_logit_scale(0.945, 12.7062 * 0.045), abs=1e-4)
