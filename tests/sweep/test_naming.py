from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from audiobag.runs import RunConfig
from audiobag.sweep import outcome
from audiobag.sweep.naming import LONGEST, Options, folder_name, sweep_folder, trial_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pooling-max__seed-0", "pooling-max__seed-0"),
        ("experiment-paper/max__seed-0", "experiment-paper-max__seed-0"),
        ("optimizer.lr-1e-3", "optimizer.lr-1e-3"),
        ("", "job"),
    ],
)
def test_safe_names_do_not_change(text: str, name: str) -> None:
    assert folder_name(text) == name


@pytest.mark.parametrize("text", ["data.train-[a,b]", "x-../../etc", "x-" + "y" * 300, "ä b'c", "a\nb", "\udcff"])
def test_unsafe_and_long_names_become_safe_and_distinct(text: str) -> None:
    name, other = folder_name(text), folder_name(text + "!")
    assert name != other
    for safe in (name, other):
        assert len(safe) <= LONGEST
        assert Path(safe).name == safe
        assert not set(safe) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@pytest.mark.parametrize(
    ("arguments", "folder", "jobs"),
    [
        (
            ["pooling=average,max", "seed=0,1"],
            "pooling-seed-synthetic",
            ["pooling-average__seed-0", "pooling-max__seed-1"],
        ),
        (["seed=0,1", "data.root=there", "trainer.max_steps=300"], "seed-synthetic", ["seed-0", "seed-1"]),
        (["seed=0,1", "trainer.max_steps=5"], "seed-synthetic__trainer.max_steps-5", ["seed-0", "seed-1"]),
        (
            ["pooling=max,average", "seed=3", "embedding=gru", "+tags=[a]", "logger=csv", "~callbacks.heartbeat"],
            "pooling-synthetic__embedding-gru__seed-3",
            ["pooling-max"],
        ),
        (
            [
                "seed=0,1",
                "experiment=recipe",
                "optimizer.lr=0.01",
                "embedding.dropout=0.25",
                "trainer.max_steps=123456",
            ],
            "seed-synthetic__dropout-0.25__experiment-recipe__lr-0.01__max_steps-123456-",
            ["seed-0"],
        ),
        (
            ["sweep=table1", "data=balanced", "seed=3,4"],
            "table1-balanced",
            ["experiment-average__seed-3", "experiment-average_unbalanced__seed-4"],
        ),
    ],
)
def test_command_determines_the_names_of_its_sweep_and_jobs(
    arguments: list[str],
    folder: str,
    jobs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from audiobag.cli.train import main

    monkeypatch.setattr(outcome, "multirun", False)  # and again after the test
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["audiobag-train", "-m", *arguments, "hydra.launcher.dry_run=true"])
    main()  # which raises SystemExit for any other exit code than 0
    plan = capfd.readouterr().err
    assert all(f" {job} " in plan for job in jobs)
    (found,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert found.name == folder if not folder.endswith("-") else found.name.startswith(folder)
    assert len(found.name) <= LONGEST
    master = OmegaConf.load(found / "multirun.yaml")
    assert master.hydra.sweep.dir == f"outputs/sweeps/{found.name}"


def test_a_trial_has_a_short_name_of_its_own() -> None:
    text = "embedding.depth-3__embedding.dropout-0.2__optimizer.lr-0.0008163248765__sampler-balanced"
    name = trial_name(text)
    assert name.startswith("depth-3__dropout-0.2__lr-0.000816__sampler-balanced-")
    assert len(name) <= 60
    assert trial_name(text.replace("48765", "48766")) != name
    assert trial_name("seed-3") == "seed-3"


@pytest.mark.parametrize(
    ("recorded", "folder"),
    [
        (["seed=1", "trainer.max_steps=5", "data.root=there"], "seed-synthetic"),
        (["seed=1", "trainer.max_steps=6"], "seed-synthetic__trainer.max_steps-5"),
        (["seed=1", "trainer.max_steps=5", "optimizer.lr=0.1"], "seed-synthetic__trainer.max_steps-5"),
    ],
)
def test_a_sweep_of_an_earlier_version_continues_in_its_folder(
    recorded: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "sweeps" / "seed-synthetic" / "seed-1"
    RunConfig({"seed": 1}, recorded).write(run / "config.json")
    options = Options(["trainer.max_steps=5"], ["trainer.max_steps=5"], ["seed"])
    assert sweep_folder("seed-synthetic", options) == f"outputs/sweeps/{folder}"
