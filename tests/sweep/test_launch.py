"""Sweeps as a user types them."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import audiobag.conf
import pytest

from tests.commands import run_command

SMALL = ("data.batch_size=16", "embedding.width=8")


train = partial(run_command, "train")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("fail_fast=flase", "hydra.launcher.fail_fast: Value 'flase' is not a valid bool"),
        ("jobs=x", "hydra.launcher.jobs must be a whole number of at least 1, or auto, got x"),
        ("devices_per_job=0", "hydra.launcher.devices_per_job must be a whole number of at least 1, got 0"),
        ("job=2", "hydra.launcher.job is not a key that anything reads: did you mean hydra.launcher.jobs?"),
    ],
)
def test_an_unusable_launcher_option_is_one_sentence(option: str, message: str, tmp_path: Path) -> None:
    refused = train("-m", "seed=0,1", f"hydra.launcher.{option}", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"audiobag: {message}")
    assert len(refused.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("job.log"))


def test_a_value_given_twice_is_refused(tmp_path: Path) -> None:
    refused = train("-m", "seed=0,0", cwd=tmp_path)
    assert (refused.returncode, "two jobs of this sweep have the same name, seed-0" in refused.stderr) == (2, True)


def test_the_sweep_of_poolings_takes_up_the_users_own(tmp_path: Path) -> None:
    own = tmp_path / "conf" / "pooling" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("_target_: audiobag.pooling.NoisyOr\n")
    planned = train("sweep=poolings", "hydra.launcher.dry_run=true", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    shipped = {path.stem for path in (Path(audiobag.conf.__file__).parent / "pooling").glob("*.yaml")}
    assert set(re.findall(r"pooling-(\w+)", planned.stdout + planned.stderr)) == shipped | {"mine"}
    assert f"Folder: {tmp_path}/outputs/sweeps/" in planned.stderr


def test_jobs_follow_the_users_preset_and_the_same_command_skips_them(data: Path, tmp_path: Path) -> None:
    preset = tmp_path / "conf" / "sweep" / "mine.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text(
        "# @package _global_\ndefaults: [override /pooling: max]\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '3,4'}}}\n"
    )
    command = ("sweep=mine", *SMALL, f"data.root={data}", "trainer.max_steps=2")
    done = train(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "sweeps").rglob("metrics.json")}
    records = [json.loads((path.parent / "config.json").read_text()) for path in sorted(written)]
    assert [(r["config"]["seed"], r["choices"]["pooling"]) for r in records] == [(3, "max"), (4, "max")]
    again = train(*command, cwd=tmp_path)
    assert (again.returncode, again.stderr.splitlines()[-1]) == (0, "2 done before")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    folder = next(iter(written)).parent.parent.relative_to(tmp_path)
    assert "audiobag-report " + str(folder) in done.stdout
    for launcher in ("pool", "basic"):
        options = ("trainer.max_steps=3", f"hydra.sweep.dir={folder}", f"hydra/launcher={launcher}")
        other = train(*command, *options, cwd=tmp_path)
        assert other.returncode == 2
        assert "trainer.max_steps was 2, is 3; " in other.stderr
        assert "hydra.sweep.dir=" in other.stderr


def test_a_job_of_another_launcher_that_fails_ends_the_command_with_its_exit_code(tmp_path: Path) -> None:
    failed = train("-m", "hydra/launcher=basic", "seed=0,1", "data.root=nowhere", cwd=tmp_path)
    assert failed.returncode == 2
    assert "seed-0 failed; the end of its log:\naudiobag: no store at nowhere" in failed.stderr
    never_started = tmp_path / "outputs" / "sweeps" / "seed-synthetic" / "seed-1"
    assert [path.name for path in never_started.iterdir()] == ["job.yaml"]
