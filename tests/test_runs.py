from __future__ import annotations

import csv
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from audiobag.errors import UserError
from audiobag.runs import RunDirectory, config_hash

CONFIG = {
    "seed": 0,
    "threads": 2,
    "paths": {"run": "a"},
    "data": {"root": "here", "batch_size": 500},
    "trainer": {"max_steps": 10, "precision": "32-true", "devices": 1, "strategy": "auto"},
    "callbacks": {"averaging": None, "checkpoints": {"every": 5}},
    "logger": {"csv": {}},
}


def changed(group: str | None, key: str, value: object) -> dict[str, object]:
    if group is None:
        return {**CONFIG, key: value}
    return {**CONFIG, group: {**CONFIG[group], key: value}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        (None, "seed", 1),
        (None, "an_option_of_tomorrow", 1),
        ("data", "batch_size", 250),
        ("trainer", "max_steps", 11),
        ("trainer", "precision", "bf16-mixed"),
        ("callbacks", "averaging", {"first": 1}),
    ],
)
def test_hash_follows_what_decides_the_result(group: str | None, key: str, value: object) -> None:
    assert config_hash(changed(group, key, value)) != config_hash(CONFIG)


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        (None, "paths", {"run": "b"}),
        (None, "logger", None),
        (None, "threads", 1),
        ("data", "root", "there"),
        ("data", "placement", "device"),
        ("trainer", "devices", 8),
        ("trainer", "strategy", "ddp"),
        ("callbacks", "checkpoints", {"every": 7}),
    ],
)
def test_hash_ignores_where_and_how(group: str | None, key: str, value: object) -> None:
    assert config_hash(changed(group, key, value)) == config_hash(CONFIG)


def test_hash_is_stable_over_releases() -> None:
    """A changed hash makes every finished run of every user look unfinished."""
    assert config_hash(CONFIG) == "e1cadd851f7fab65"


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
    with pytest.raises(UserError, match=r"metrics\.json"):
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


def make_hydra(run: RunDirectory, config: str, overrides: str = "") -> None:
    folder = run.path / ".hydra"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "hydra.yaml").write_text(f"hydra: {{runtime: {{output_dir: {run.path}}}}}")
    (folder / "overrides.yaml").write_text(overrides)


def test_configuration_is_read_as_it_was_resolved_then(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    make_hydra(run, "seed: 3\ndata: {seed: '${seed}', at: '${hydra:runtime.output_dir}/x'}", "[seed=3]")
    assert run.config() == {"seed": 3, "data": {"seed": 3, "at": f"{run.path}/x"}}
    assert run.config(seed=None) == {"seed": None, "data": {"seed": None, "at": f"{run.path}/x"}}
    assert run.overrides() == ["seed=3"]


@pytest.mark.parametrize("config", ["- a", "a: [", "a: ${nowhere}"])
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, config: str) -> None:
    run = RunDirectory(tmp_path / "run")
    make_hydra(run, config)
    with pytest.raises(UserError, match=r"\.hydra does not hold a run's configuration"):
        run.config()


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


def test_predictions_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    RunDirectory(tmp_path).write_predictions(np.array([b"a"]), np.zeros((2, 2), np.float32))
    with pytest.raises(UserError, match="1 clips but probability"):
        RunDirectory(tmp_path).read_predictions()
    with pytest.raises(UserError, match="no readable probability_averaged"):
        RunDirectory(tmp_path).read_predictions(averaged=True)
