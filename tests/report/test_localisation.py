"""Evaluations against strong labels, joined to their runs in the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from audiobag.report import report
from audiobag.report.collect import collect
from audiobag.report.statistics import bootstrap_pairs, bootstrap_weights
from audiobag.runs import RunDirectory
from audiobag.runs.localisation import PairScores


def localise(run: Path, folder: Path, score: float, *, clips: int = 7, step: int = 10) -> Path:
    """Write the folder of an evaluation of a run's checkpoint against strong labels."""
    directory = RunDirectory(run)
    checkpoint = directory.step_checkpoint(step)
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.touch()
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = ("within_AUC", "pointing", "mass")
    scores = {kind: {name: rng.random(20) for name in names} for kind in ("f", "F")}
    clip, label = rng.integers(0, clips, 20), rng.integers(0, 5, 20)
    ids = np.array([f"clip{n}" for n in range(clips)], np.bytes_)
    pairs = PairScores(ids, clip, label, rng.random(20), scores)
    RunDirectory(folder).write_localisation([f"class {k}" for k in range(5)], {"f.pointing": np.full(5, score)}, pairs)
    kinds = {kind: {"frame_mAP": score, "pointing": score, "share": None} for kind in scores}
    RunDirectory(folder).write_metrics(
        {"status": "done", "checkpoint": str(checkpoint), "localisation": {"counts": {"clips": clips}, **kinds}}
    )
    return folder


@pytest.fixture
def evaluations(sweep: Path) -> Path:
    folder = sweep.parent / "strong"
    for seed in range(3):
        run = sweep / f"pooling=average,seed={seed}"
        localise(run, folder / str(seed), 0.5 + seed / 10)
    return folder


def test_an_evaluation_joins_its_run(sweep: Path, evaluations: Path) -> None:
    runs, left_out = collect([sweep, evaluations])
    assert (len(runs), left_out) == (6, [])
    found = {run.directory.path.name: run.localised.scores["f"]["pointing"] for run in runs if run.localised}
    assert found == {f"pooling=average,seed={seed}": 0.5 + seed / 10 for seed in range(3)}


@pytest.mark.parametrize(
    ("run", "step", "reason"),
    [("seed=0", 10, "again"), ("seed=0", 5, "other weights"), ("seed=9", 10, "whose run is not in the report")],
)
def test_other_evaluations_are_left_out(sweep: Path, evaluations: Path, run: str, step: int, reason: str) -> None:
    path = sweep / f"pooling=average,{run}"
    path.mkdir(exist_ok=True)
    localise(path, evaluations / "z", 0.1, step=step)
    _, left_out = collect([sweep, evaluations])
    assert reason in {each.path.name: each.reason for each in left_out}["z"]


def test_the_report_has_a_table_a_file_and_a_picture(sweep: Path, evaluations: Path, tmp_path: Path) -> None:
    made = report([sweep, evaluations], tmp_path / "report", replicates=20)
    table = next(table for table in made.tables if table.title == "Localisation")
    assert [row[:2] for row in table.rows] == [("average", "f"), ("average", "F")]
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert (cells["pointing"], cells["mass"]) == ("0.6000 ± 0.1000", "-")
    assert " to " in cells["pointing, 95 % over clips"]
    with (tmp_path / "report" / "localisation.csv").open(newline="") as file:
        rows = {(row["second"], row["score"]): row for row in csv.DictReader(file)}
    assert float(rows["f", "pointing"]["mean"]) == pytest.approx(0.6)
    assert float(rows["f", "pointing"]["clips_low"]) < 0.6 < float(rows["f", "pointing"]["clips_high"])
    assert (tmp_path / "report" / "localisation.png").is_file()
    assert "Localisation against tagging" in made.page.read_text()


def test_differences_are_paired_by_seeds_and_by_clips(sweep: Path, evaluations: Path, tmp_path: Path) -> None:
    gain = (0.2, 0.25, 0.27)
    for seed in range(3):
        run = sweep / f"pooling=attention_softmax,seed={seed}"
        localise(run, evaluations / f"a{seed}", 0.5 + seed / 10 + gain[seed])
    made = report([sweep, evaluations], tmp_path / "report", baseline="average", replicates=20)
    table = next(table for table in made.tables if table.title == "Localisation: difference to average")
    half = stats.t.ppf(0.975, 2) * np.std(gain, ddof=1) / np.sqrt(3)
    mean = np.mean(gain)
    shown = f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"
    assert table.rows == (("attention_softmax", "f", shown, "-", shown, "-"),)
    with (tmp_path / "report" / "localisation_differences.csv").open(newline="") as file:
        rows = {row["score"]: row for row in csv.DictReader(file)}
    assert rows["frame_mAP"]["clips_low"] == ""
    # The same scores of pairs in both, so the clips that are drawn tell nothing.
    low, high = (float(rows["pointing"][name]) for name in ("clips_low", "clips_high"))
    assert (low, high) == (pytest.approx(mean), pytest.approx(mean))
    for name in ("frame_mAP", "pointing"):
        assert (tmp_path / "report" / f"forest_{name}.png").is_file()
    assert "Difference in pointing to average" in made.page.read_text()


def test_different_strong_labels_and_missing_seeds_are_noticed(sweep: Path, evaluations: Path, tmp_path: Path) -> None:
    localise(sweep / "pooling=attention_softmax,seed=0", evaluations / "a", 0.3)
    path = evaluations / "1" / "metrics.json"
    content = json.loads(path.read_text())
    content["localisation"]["counts"] = {"clips": 3}
    path.write_text(json.dumps(content))
    made = report([sweep, evaluations], tmp_path / "report", replicates=0)
    assert any("different strong labels" in notice for notice in made.notices)
    assert not any("Localisation: difference" in table.title for table in made.tables)
    assert any("Not all seeds of attention_softmax" in notice for notice in made.notices)


def test_without_evaluations_nothing_is_said_of_localisation(sweep: Path, evaluations: Path, tmp_path: Path) -> None:
    report([sweep, evaluations], tmp_path / "report", replicates=0)
    made = report([sweep], tmp_path / "report", replicates=0)
    assert "ocalisation" not in made.page.read_text()
    assert not (tmp_path / "report" / "localisation.csv").exists()


def test_the_bootstrap_of_pairs_equals_repeating_the_clips() -> None:
    rng = np.random.default_rng(0)
    values, clip, label = rng.random(30), rng.integers(0, 8, 30), rng.integers(0, 4, 30)
    found = bootstrap_pairs(values, clip, label, 8, 25)
    weights = np.concatenate(list(bootstrap_weights(8, 25)), axis=1)
    for replicate, of_clip in zip(found, weights.T, strict=True):
        times = of_clip[clip].astype(int)
        v, k = np.repeat(values, times), np.repeat(label, times)
        assert replicate == pytest.approx(np.mean([v[k == c].mean() for c in np.unique(k)]))
