from __future__ import annotations

import csv
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from audiobag.runs import RunConfig, RunDirectory, resolve_checkpoint


def test_metrics_json_is_strict_json_and_absent_until_the_end(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.metrics() is None
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_metrics({"status": "done", "mAP": math.nan})
    assert list(tmp_path.iterdir()) == []
    run.write_metrics({"status": "done", "mAP": None})
    assert run.metrics() == {"status": "done", "mAP": None}


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_foreign_metrics_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match=r"metrics\.json"):
        RunDirectory(tmp_path).metrics()


def test_predictions_and_classes_read_back(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    probability = np.random.default_rng(0).random((3, 2), dtype=np.float32)
    run.write_predictions(np.array([b"a", b"b", b"c"]), probability)
    run.write_per_class(["x, y", "z"], [1, 0], {"AP": [0.25, math.nan], "d_prime": [math.inf, 1.5]})
    with h5py.File(run.predictions) as file:
        assert set(file) == {"video_id", "probability"}
        np.testing.assert_array_equal(file["probability"][()], probability)
        assert file["video_id"][()].tolist() == [b"a", b"b", b"c"]
    with (tmp_path / "per_class.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"index": "0", "name": "x, y", "positives": "1", "training_clips": "", "AP": "0.25", "d_prime": ""},
            {"index": "1", "name": "z", "positives": "0", "training_clips": "", "AP": "", "d_prime": "1.5"},
        ]


def test_curves_of_several_starts_are_joined_and_the_later_start_counts(tmp_path: Path) -> None:
    starts = {
        0: "step,val/mAP\n10,0.1\n20,0.2\n30,0.9\n",
        2: "step,val/mAP\n20,0.3\n30,0.8\n,\n",
        10: "step,val/mAP\n30,0.4\n4",
    }
    for version, text in starts.items():
        folder = tmp_path / "csv" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(text)
    assert RunDirectory(tmp_path).curve("val/mAP") == {10: 0.1, 20: 0.3, 30: 0.4}
    assert RunDirectory(tmp_path).curve("val/loss") == {}


def test_predictions_and_classes_are_read_as_written(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    ids = np.array([b"a", b"b"])
    probability = np.array([[0.5, 1], [0, 0.25]], np.float32)
    run.write_predictions(ids, probability, probability / 2)
    for averaged, expected in ((False, probability), (True, probability / 2)):
        found = run.read_predictions(averaged)
        assert found[0].tolist() == ids.tolist()
        assert (found[1] == expected).all()
    run.write_per_class(['a, "b"', "c\nd"], [3, 0], {"AP": [0.1, math.nan]})
    classes = run.read_per_class()
    assert classes.names == ('a, "b"', "c\nd")
    assert classes.positives.tolist() == [3, 0]
    assert classes.average_precision[0] == 0.1
    assert math.isnan(classes.average_precision[1])
    assert classes.training_clips is None
    run.write_per_class(["a", "b"], [3, 0], {"AP": [0.1, 0.2]}, [7, 0])
    found = run.read_per_class().training_clips
    assert found is not None
    assert found.tolist() == [7, 0]


def test_arrays_of_unequal_length_are_neither_written_nor_read(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(RuntimeError, match="1 clips were to be scored, and probability has 2"):
        run.write_predictions(np.array([b"a"]), np.zeros((2, 2), np.float32))
    assert not run.predictions.exists()
    with h5py.File(run.predictions, "w") as file:
        file["video_id"], file["probability"] = np.array([b"a"]), np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match="1 clips but probability"):
        run.read_predictions()
    with pytest.raises(ValueError, match="no readable probability_averaged"):
        run.read_predictions(averaged=True)


def complete(folder: Path, select: str = "last") -> RunDirectory:
    run = RunDirectory(folder)
    run.begin(RunConfig({"select": select}))
    run.write_metrics({"status": "done", "train": {"steps": 8}})
    run.checkpoints.mkdir()
    for name in ("best.ckpt", "step-00000004.ckpt", "step-00000008.ckpt"):
        (run.checkpoints / name).touch()
    return run


@pytest.mark.parametrize(("select", "name"), [("last", "step-00000008.ckpt"), ("best", "best.ckpt")])
def test_a_run_stands_for_the_weights_that_it_scored(tmp_path: Path, select: str, name: str) -> None:
    run = complete(tmp_path / "run", select)
    assert run.scored_checkpoint() == resolve_checkpoint(run.path) == run.checkpoints / name
    other = run.checkpoints / "step-00000004.ckpt"
    assert resolve_checkpoint(other) == other
    (run.checkpoints / name).unlink()
    with pytest.raises(ValueError, match=rf"no checkpoint at .*{name}"):
        resolve_checkpoint(run.path)


def test_an_unfinished_run_names_a_checkpoint_to_give_instead(tmp_path: Path) -> None:
    run = complete(tmp_path)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"not a complete training run: .*step-00000008\.ckpt"):
        resolve_checkpoint(run.path)
    (run.checkpoints / "step-00000008.ckpt").unlink()
    (run.checkpoints / "step-00000004.ckpt").unlink()
    with pytest.raises(ValueError, match=r"not a complete training run: give another one$"):
        resolve_checkpoint(run.path)
