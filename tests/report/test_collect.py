from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audiobag.errors import UserError
from audiobag.report.collect import collect


def change(run: Path, **changes: object) -> None:
    path = run / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def drop_a_class(run: Path) -> None:
    path = run / "per_class.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda run: (run / "metrics.json").write_text("{"), "cannot be read"),
        (lambda run: (run / "metrics.json").write_text('{"accuracy": 1}'), "has no status"),
        (lambda run: (run / "metrics.json").rename(run / "run.json"), "not finished"),
        (lambda run: change(run, status="running"), "not finished"),
        (lambda run: change(run, checkpoint="best.ckpt"), "audiobag-evaluate"),
        (lambda run: change(run, seed=None), "has no seed"),
        (lambda run: change(run, test={"mAP": 1}), "has a test without"),
        (lambda run: (run / "per_class.csv").unlink(), "per_class.csv is not"),
        (lambda run: (run / "per_class.csv").write_text("index,name\n0,Speech\n"), "per_class.csv is not"),
        (drop_a_class, "4 classes, metrics.json 5"),
        (lambda run: (run / ".hydra" / "config.yaml").write_text("a: [1"), "does not hold a run's configuration"),
        (lambda run: (run / ".hydra" / "hydra.yaml").unlink(), "does not hold a run's configuration"),
    ],
)
def test_what_is_broken_or_foreign_is_listed_with_its_reason(
    sweep: Path, damage: Callable[[Path], object], reason: str
) -> None:
    run = sweep / "pooling=average,seed=1"
    damage(run)
    runs, left_out = collect([sweep])
    assert len(runs) == 5
    assert [(each.path.name, reason in each.reason) for each in left_out] == [(run.name, True)], left_out


def test_a_run_is_found_once_wherever_it_lies(sweep: Path) -> None:
    (sweep / "notes").mkdir()
    runs, left_out = collect([sweep, sweep / "pooling=average,seed=1", sweep.parent])
    assert (len(runs), left_out) == (6, [])


def test_a_single_runs_folder_will_do(sweep: Path) -> None:
    assert len(collect([sweep / "pooling=average,seed=1"])[0]) == 1


def test_the_seed_is_taken_out_wherever_it_went(sweep: Path) -> None:
    for run in collect([sweep])[0]:
        assert run.config["data"]["seed"] is None
        assert Path(run.config["paths"]["run"]).name == run.directory.path.name


def test_no_runs_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no complete run at or below"):
        collect([tmp_path])
    with pytest.raises(UserError, match="no folder at"):
        collect([tmp_path / "nowhere"])


def test_only_broken_runs_says_why(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="1 unfinished or broken: not finished"):
        collect([tmp_path])
