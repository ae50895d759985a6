from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audiobag.data.store import Store
from audiobag.report.collect import collect
from audiobag.report.places import shortener
from tests.report.fabricate import make_run


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
        (lambda run: (run / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda run: (run / "config.json").unlink(), "does not hold a run's configuration"),
    ],
)
def test_a_folder_that_is_no_complete_run_is_left_out_with_the_reason(
    sweep: Path, damage: Callable[[Path], object], reason: str
) -> None:
    run = sweep / "pooling=average,seed=1"
    damage(run)
    runs, left_out = collect([sweep])
    assert len(runs) == 5
    assert [(each.path.name, reason in each.reason) for each in left_out] == [(run.name, True)], left_out


def test_each_run_is_found_once(sweep: Path) -> None:
    (sweep / "notes").mkdir()
    runs, left_out = collect([sweep, sweep / "pooling=average,seed=1", sweep.parent])
    assert (len(runs), left_out) == (6, [])


def test_runs_behind_links_are_found_and_named_by_their_links(sweep: Path) -> None:
    folder = sweep.parent / "links"
    folder.mkdir()
    for seed in range(3):
        (folder / f"run-{seed}").symlink_to(sweep / f"pooling=average,seed={seed}")
    runs, left_out = collect([folder])
    assert (len(runs), left_out) == (3, [])
    short = shortener([folder])
    assert short(f"no {runs[0].directory.path}/a, {sweep}") == f"no run-0/a, {sweep}"
    assert shortener([folder, sweep])(f"{runs[0].directory.path} is old") == "links/run-0 is old"
    assert shortener([folder / "run-0"])(f"{runs[0].directory.path}/a") == "a"


def test_the_folder_of_a_single_run_is_accepted(sweep: Path) -> None:
    assert len(collect([sweep / "pooling=average,seed=1"])[0]) == 1


def test_the_seed_and_what_follows_it_are_removed_from_the_configuration(sweep: Path) -> None:
    for run in collect([sweep])[0]:
        assert run.config["data"]["seed"] is None
        assert Path(run.config["paths"]["run"]).name == run.directory.path.name


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no complete run at or below"):
        collect([tmp_path])
    with pytest.raises(ValueError, match="no folder at"):
        collect([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="runs must have at least one folder"):
        collect([])


def test_the_reason_is_given_if_all_runs_are_broken(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="1 unfinished or broken: not finished"):
        collect([tmp_path])


def test_lists_of_augmentations_are_options(store: Store, tmp_path: Path) -> None:
    for n, parts in enumerate(((), ("mixup",), ("mixup", "frame_dropout"))):
        make_run(tmp_path / str(n), store, options={"augment": {part: {"_target_": "any"} for part in parts}})
    runs, _ = collect([tmp_path])
    assert [run.choices["augment"] for run in runs] == ["none", "mixup", "mixup+frame_dropout"]
