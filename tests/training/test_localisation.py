"""Scores of the seconds at the end of an evaluation."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import audiobag
from audiobag.bags import BagPrediction, Bags
from audiobag.cli.assemble import score
from audiobag.cli.options import options_of
from audiobag.data.store import open_store
from audiobag.data.strong import strong_labels
from audiobag.metrics import localisation_scores
from audiobag.metrics.localisation import LOCALISATION_OF_TEST
from audiobag.prepare import add_strong_labels
from audiobag.runs import RunDirectory
from audiobag.training import evaluate
from audiobag.training.callbacks.predictions import FramePredictions
from tests.composing import composed, trained
from tests.conftest import load_script
from tests.tracking.dotwandb import starts

KINDS = ["f", "p", "fp", "F", "random"]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(data, tmp_path_factory.mktemp("runs") / "run", "pooling=attention_sigmoid").path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Events in the first 30 of the 41 clips, and one in a clip that the store does not have."""
    rng = np.random.default_rng(0)
    rows = [(f"clip{n:06d}", s, s + 1.5, f"class {rng.integers(5)}") for n in range(30) for s in rng.integers(0, 8, 2)]
    path = tmp_path / "events.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["video_id", "start_seconds", "end_seconds", "label"], *rows, ["x", 0, 1, "class 0"]]
        )
    return path


def test_an_evaluation_scores_the_seconds_of_the_clips_with_strong_labels(
    run: Path, data: Path, events: Path, tmp_path: Path
) -> None:
    record = evaluate(run, tmp_path / "out", strong=events)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == record
    found = record["localisation"]
    assert list(found) == ["counts", *KINDS]
    assert (found["counts"]["clips"], found["counts"]["clips_without_strong"]) == (30, 11)
    store = open_store(data / "eval.h5")
    strong = strong_labels(store, events)
    bags = [store.frames[slice(*store.columns.offsets[i : i + 2])] for i in strong.rows]
    predicted = audiobag.load(run).predict(bags)
    assert predicted.measure is not None
    own = np.arange(predicted.frame.shape[1]) < strong.truth.lengths[:, None]
    f, p = predicted.frame.numpy()[own], predicted.measure.numpy()[own]
    uniform = np.repeat(predicted.clip.numpy(), strong.truth.lengths, axis=0)
    for kind, values in {"f": f, "p": np.minimum(p, 1), "fp": f * p, "F": uniform}.items():
        expected = localisation_scores(values, strong.truth).summary()
        assert found[kind] == pytest.approx(expected, abs=1e-4), kind
    assert found["F"]["within_AUC"] == 0.5
    assert found["F"]["pointing"] == pytest.approx(found["F"]["share"])


def test_the_files_hold_the_scores_of_classes_and_of_pairs(run: Path, events: Path, tmp_path: Path) -> None:
    record = evaluate(run, tmp_path, strong=events)["localisation"]
    with (tmp_path / "localisation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pointing = [float(row["f.pointing"]) for row in rows if row["f.pointing"]]
    assert np.mean(pointing) == pytest.approx(record["f"]["pointing"])
    pairs = RunDirectory(tmp_path).read_localisation()
    assert list(pairs.scores) == KINDS
    assert len(pairs.video_id) == 30
    counts = np.bincount(pairs.label, minlength=5)
    assert counts.tolist() == [int(row["pairs"]) for row in rows]
    each = np.bincount(pairs.label, pairs.scores["p"]["mass"], 5)[counts > 0] / counts[counts > 0]
    assert each.mean() == pytest.approx(record["p"]["mass"])
    (tmp_path / "localisation.h5").write_bytes(b"no")
    with pytest.raises(ValueError, match="has no readable scores of pairs"):
        RunDirectory(tmp_path).read_localisation()


def test_a_model_without_a_measure_shows_what_there_is(data: Path, events: Path, tmp_path: Path) -> None:
    run = trained(data, tmp_path / "run", "pooling=noisy_or")
    record = evaluate(run.path, tmp_path / "out", strong=events)
    assert list(record["localisation"]) == ["counts", "f", "F", "random"]


def test_without_strong_labels_there_are_no_such_scores(run: Path, events: Path, tmp_path: Path) -> None:
    evaluate(run, tmp_path, strong=events)
    assert "localisation" not in evaluate(run, tmp_path)
    assert not list(tmp_path.glob("localisation.*"))


def test_an_interrupted_evaluation_leaves_no_scores_of_an_earlier_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    evaluate(run, tmp_path)
    monkeypatch.setattr(RunDirectory, "write_per_class", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, tmp_path)
    assert RunDirectory(tmp_path).metrics() is None


def test_a_store_with_strong_labels_is_scored_by_trainings_and_evaluations(
    data: Path, events: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    add_strong_labels(own, events)
    run = trained(own, tmp_path / "run", "pooling=attention_sigmoid", "logger=wandb_offline")
    found = run.metrics["localisation"]
    assert list(found) == ["counts", *KINDS]
    assert {name: run.metrics["test"][name] for name in LOCALISATION_OF_TEST} == {
        name: found["f"][name] for name in LOCALISATION_OF_TEST
    }
    assert (run.path / "localisation.csv").exists()
    assert len(RunDirectory(run.path).read_localisation().video_id) == 30
    again = evaluate(run.path, tmp_path / "out")
    assert again["localisation"] == found
    assert again["test"] == run.metrics["test"]
    assert evaluate(run.path, tmp_path / "same", strong=events)["localisation"] == found
    (tracked,) = starts(run.path)
    for name in LOCALISATION_OF_TEST:
        assert tracked.summary[f"test/{name}"] == run.metrics["test"][name]
    published = load_script(Path(__file__).parents[2] / "docs" / "results" / "localisation.py")
    rows = {row["second"]: row for row in published.rows(tmp_path, run.path / "metrics.json")}
    assert list(rows) == list(published.KINDS)
    for kind, name in itertools.product(("f", "p"), ("frame_mAP", "pointing", "mass", "share")):
        assert float(rows[kind][name]) == pytest.approx(found[kind][name], abs=1e-6)


def test_an_ensemble_is_refused(run: Path, tmp_path: Path) -> None:
    config = composed("evaluate", f"checkpoint=[{run},{run}]", "strong=planted", f"paths.run={tmp_path}")
    with pytest.raises(ValueError, match=r"^strong needs one checkpoint"):
        score(options_of("evaluate", OmegaConf.create(config)), [run, run], tmp_path)


def test_frames_are_in_the_order_of_the_clips_whatever_the_batches() -> None:
    lengths = torch.tensor([3, 1, 2, 4])
    frame = torch.rand(4, 4, 5)
    wanted = torch.tensor([True, False, True, True])
    collected = FramePredictions(wanted)
    for index in (torch.tensor([3, 1]), torch.tensor([2, 0])):
        bags = Bags(torch.zeros(2, 4, 1), lengths[index], torch.zeros(2, 5, dtype=torch.bool), index)
        collected.update(bags, BagPrediction(torch.zeros(2, 5), frame[index], None))
    found, measure = collected.compute()
    assert measure is None
    torch.testing.assert_close(found, torch.cat([frame[0, :3], frame[2, :2], frame[3]]))
