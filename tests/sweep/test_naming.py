from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from audiobag.sweep import outcome
from audiobag.sweep.naming import LONGEST, folder_name


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


@pytest.mark.parametrize("text", ["data.train-[a,b]", "x-../../etc", "x-" + "y" * 300, "ä b'c", "a\nb"])
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
        (["seed=0,1", "trainer.max_steps=5"], "seed-synthetic", ["seed-0", "seed-1"]),
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
    main()
    plan = capfd.readouterr().err
    assert all(f" {job} " in plan for job in jobs)
    assert [p.name for p in (tmp_path / "outputs" / "sweeps").iterdir()] == [folder]
    master = OmegaConf.load(tmp_path / "outputs" / "sweeps" / folder / "multirun.yaml")
    assert master.hydra.sweep.dir == f"outputs/sweeps/{folder}"
