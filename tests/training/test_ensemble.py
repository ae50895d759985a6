"""Ensembles: the average of the members' predictions, saved or computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score

from audiobag.data import BagDataModule
from audiobag.data.store import open_store
from audiobag.report import report
from audiobag.runs import OtherConfigurationError, RunDirectory
from audiobag.runs.finding import training_runs
from audiobag.training import evaluate_ensemble
from tests.composing import trained
from tests.conftest import make_store

RUNS = {
    "softmax": ("pooling=attention_softmax",),
    "max": ("pooling=max", "seed=1"),
    "fold": ("pooling=average", "data.fold=0", "data.folds=4"),
}


@pytest.fixture(scope="module")
def sweep(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on the same stores; the last one holds other clips out."""
    folder = tmp_path_factory.mktemp("sweep")
    for name, overrides in RUNS.items():
        trained(data, folder / name, *overrides)
    return folder


def saved(run: Path) -> np.ndarray:
    return RunDirectory(run).read_predictions()[1].astype(np.float64)


@pytest.mark.parametrize("combine", ["logit", "probability"])
def test_the_average_of_saved_predictions_is_scored(data: Path, sweep: Path, tmp_path: Path, combine: str) -> None:
    members = [sweep / name for name in RUNS]
    record = evaluate_ensemble(members, tmp_path / "out", combine=combine)
    p = np.stack([saved(member) for member in members])
    expected = expit(logit(p.clip(1e-7, 1 - 1e-7)).mean(0)) if combine == "logit" else p.mean(0)
    video_id, found = RunDirectory(tmp_path / "out").read_predictions()
    store = open_store(data / "eval.h5")
    np.testing.assert_array_equal(video_id, store.columns.video_id)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    mean = average_precision_score(store.labels.dense(), found, average="macro")
    assert record["test"]["mAP"] == pytest.approx(mean, abs=1e-9)
    assert record["test"].keys() >= {"lwlrap", "micro_mAP", "best_F1"}
    assert record["ensemble"] == {"combine": combine, "members": [str(member) for member in members]}
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == record
    assert RunDirectory(tmp_path / "out").read_per_class().positives.tolist() == store.labels.counts.tolist()


def test_predictions_that_are_not_there_are_computed(sweep: Path, tmp_path: Path) -> None:
    expected = evaluate_ensemble([sweep / "softmax", sweep / "max"], tmp_path / "saved")
    shutil.copytree(sweep / "max", tmp_path / "max")
    (tmp_path / "max" / "predictions.h5").unlink()
    checkpoint = sweep / "softmax" / "checkpoints" / "step-00000008.ckpt"
    found = evaluate_ensemble([checkpoint, tmp_path / "max"], tmp_path / "computed")
    assert found["test"] == pytest.approx(expected["test"])
    np.testing.assert_allclose(saved(tmp_path / "computed"), saved(tmp_path / "saved"), atol=1e-6)


def test_another_ensemble_is_refused_before_its_predictions_are_computed(sweep: Path, tmp_path: Path) -> None:
    def unexpected(**_: object) -> NoReturn:
        raise AssertionError("computed")

    evaluate_ensemble([sweep / "softmax", sweep / "max"], tmp_path)
    checkpoint = sweep / "softmax" / "checkpoints" / "step-00000008.ckpt"
    with pytest.raises(OtherConfigurationError, match=r"another configuration: ensemble\.members was"):
        evaluate_ensemble([checkpoint, sweep / "max"], tmp_path, trainer=unexpected)


def test_predictions_of_another_eval_set_are_not_taken(data: Path, sweep: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "eval.h5", clips=41, classes=5, seed=9)  # the same ids
    members = [sweep / "softmax", sweep / "max"]
    evaluate_ensemble(members, tmp_path / "out", data=BagDataModule(tmp_path, train=(), test="eval"))
    alone = [
        evaluate_ensemble([member], tmp_path / member.name, data=BagDataModule(tmp_path, train=(), test="eval"))
        for member in members
    ]
    assert all(record["stores"] == {"eval": other.content_sha256} for record in alone)
    p = np.stack([saved(tmp_path / member.name) for member in members])
    np.testing.assert_allclose(saved(tmp_path / "out"), expit(logit(p).mean(0)), atol=1e-6)


def test_the_hold_out_is_scored_without_the_eval_set(data: Path, sweep: Path, tmp_path: Path) -> None:
    members = [sweep / "softmax", sweep / "max"]
    record = evaluate_ensemble(members, tmp_path / "out", holdout=True)
    store = open_store(data / "bal_train.h5")
    read = [RunDirectory(member).read_hold_out() for member in members]
    rows = np.searchsorted(store.columns.video_id, read[0][0])
    expected = expit(np.mean([logit(p.astype(np.float64)) for _, p in read], axis=0))
    video_id, found = RunDirectory(tmp_path / "out").read_hold_out()
    np.testing.assert_array_equal(video_id, read[0][0])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    positive = store.labels.dense()[rows]
    scored = (positive.any(0)) & (~positive.all(0))
    mean = average_precision_score(positive[:, scored], found[:, scored], average="macro")
    assert record["val"]["mAP"] == pytest.approx(mean, abs=1e-9)
    assert "test" not in record
    assert not (tmp_path / "out" / "predictions.h5").exists()


def test_members_that_do_not_fit_are_refused_by_name(sweep: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fold held out other clips than .*softmax"):
        evaluate_ensemble([sweep / "softmax", sweep / "fold"], tmp_path / "out", holdout=True)
    shutil.copytree(sweep / "max", tmp_path / "none")
    (tmp_path / "none" / "holdout.h5").unlink()
    with pytest.raises(ValueError, match=r"none has no predictions of a hold-out"):
        evaluate_ensemble([sweep / "max", tmp_path / "none"], tmp_path / "out", holdout=True)
    make_store(tmp_path / "other" / "bal_train.h5", clips=80, classes=6)
    make_store(tmp_path / "other" / "eval.h5", clips=41, classes=6, seed=1)
    trained(tmp_path / "other", tmp_path / "six")
    with pytest.raises(ValueError, match=r"six.*knows 6 classes, .*eval\.h5 has 5"):
        evaluate_ensemble([sweep / "max", tmp_path / "six"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"six was trained on other stores than .*bal_train\.h5"):
        evaluate_ensemble([sweep / "max", tmp_path / "six"], tmp_path / "out", holdout=True)
    with pytest.raises(ValueError, match=r"^combine must be one of logit, probability, got vote"):
        evaluate_ensemble([sweep / "max"], tmp_path / "out", combine="vote")
    with pytest.raises(ValueError, match=r"^checkpoint must have at least one"):
        evaluate_ensemble([], tmp_path / "out")
    with pytest.raises(ValueError, match=r"other is not a complete training run"):
        evaluate_ensemble([tmp_path / "other"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"max holds a training run, whose files would be replaced"):
        evaluate_ensemble([sweep / "max", sweep / "softmax"], sweep / "max")
    assert not (tmp_path / "out").exists()


def test_a_sweep_names_its_complete_training_runs(sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(sweep, folder)
    evaluate_ensemble([folder / "max"], folder / "ensemble")
    assert [path.name for path in training_runs([folder, folder / "max"])] == ["fold", "max", "softmax"]
    (folder / "max" / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"max is not a complete run"):
        training_runs([folder])
    with pytest.raises(ValueError, match=r"^runs must have at least one complete training run"):
        training_runs([folder / "ensemble"])


def test_a_report_has_the_ensemble_as_a_system(sweep: Path, tmp_path: Path) -> None:
    evaluate_ensemble([sweep / "softmax", sweep / "max"], tmp_path / "both")
    written = report([sweep, tmp_path / "both"], tmp_path / "report", replicates=3)
    names = [row[0] for row in written.tables[0].rows]
    assert "both" in names
    assert len(names) == 4
    assert not written.left_out
