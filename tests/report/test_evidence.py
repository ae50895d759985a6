from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve

from audiobag.data.store import Store
from audiobag.report.collect import collect
from audiobag.report.evidence import RECALL, Labels, calibration, examine, precision_at_recall, tally
from audiobag.report.statistics import bootstrap_weights
from audiobag.report.systems import System, group
from tests.conftest import make_store
from tests.report.fabricate import make_run


def systems(folder: Path) -> list[System]:
    return group(collect([folder])[0])[0]


def test_replicates_are_the_mean_over_seeds_of_the_same_draws(sweep: Path, scored: Store) -> None:
    (average, _) = systems(sweep)
    found, missing = examine([average], Labels(), [0], 3)
    (weights,) = bootstrap_weights(120, 3)
    labels = scored.labels.dense()
    expected = np.zeros(3)
    for run in average.runs:
        _, p = run.directory.read_predictions()
        for r in range(3):
            w = weights[:, r]
            AP = [average_precision_score(labels[:, k], p[:, k], sample_weight=w) for k in range(5)]
            expected[r] += np.mean(AP) / 3
    np.testing.assert_allclose(found["average"].mAP["test"], expected, atol=1e-9, rtol=0)
    assert missing == []


def test_calibration_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((500, 6)).astype(np.float32)
    y = rng.random((500, 6)) < p**2
    found = calibration(tally(p, y))
    frequency, confidence = calibration_curve(y.ravel(), p.ravel(), n_bins=10)
    np.testing.assert_allclose(found.frequency, frequency)
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-6)
    share = found.pairs / 3000
    assert found.error == pytest.approx(float((share * np.abs(frequency - confidence)).sum()), rel=1e-6)


def test_probability_one_is_in_the_last_tenth_and_empty_tenths_do_not_count() -> None:
    found = calibration(tally(np.array([[1.0], [0.0]], np.float32), np.array([[True], [False]])))
    assert found.pairs.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found.error == 0


@pytest.mark.parametrize("values", [1000, 4])
def test_precision_at_recall_is_a_point_of_scikit_learns_curve(values: int) -> None:
    rng = np.random.default_rng(values)
    score = rng.integers(0, values, 200).astype(np.float32)
    label = rng.random(200) < 0.2
    precision, recall, _ = precision_recall_curve(label, score)
    least = np.maximum(RECALL, 1 / label.sum())
    expected = [precision[np.flatnonzero(recall >= r - 1e-9)[-1]] for r in least]
    np.testing.assert_allclose(precision_at_recall(score, label), expected)


def test_a_class_without_positives_has_no_curve() -> None:
    assert np.isnan(precision_at_recall(np.ones(3), np.zeros(3, bool))).all()


def test_changed_or_missing_data_is_reported(tmp_path: Path) -> None:
    store = make_store(tmp_path / "data" / "eval.h5", clips=40, classes=3)
    make_run(tmp_path / "s" / "a", store)
    for damage, reason in (
        (lambda: make_store(store.path, clips=40, classes=3, seed=9), "its checksum has changed"),
        (lambda: store.path.unlink(), "no store at"),
    ):
        damage()
        found, missing = examine(systems(tmp_path / "s"), Labels(), [0], 3)
        assert found == {}
        assert reason in missing[0]
        assert missing[0].startswith("average has no clip bootstrap")


def test_missing_predictions_are_reported(sweep: Path) -> None:
    (sweep / "pooling=average,seed=2" / "predictions.h5").unlink()
    found, missing = examine(systems(sweep), Labels(), [0], 3)
    assert set(found) == {"attention_softmax"}
    assert "predictions.h5 has no readable probability" in missing[0]


def test_relative_data_is_found_from_a_folder_above_the_run(tmp_path: Path) -> None:
    store = make_store(tmp_path / "work" / "data" / "eval.h5", clips=40, classes=3)
    make_run(tmp_path / "work" / "outputs" / "a", store, options={"data": {"root": "data", "test": "eval"}})
    found, missing = examine(systems(tmp_path / "work" / "outputs"), Labels(), [0], 3)
    assert (set(found), missing) == ({"average"}, [])
