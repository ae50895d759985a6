from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from audiobag.sweep import folder_name
from audiobag.sweep.naming import LONGEST


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pooling-max__seed-0", "pooling-max__seed-0"),
        ("experiment-paper/max__seed-0", "experiment-paper-max__seed-0"),
        ("optimizer.lr-1e-3", "optimizer.lr-1e-3"),
        ("", "job"),
    ],
)
def test_tame_names_stay(text: str, name: str) -> None:
    assert folder_name(text) == name


@pytest.mark.parametrize("text", ["data.train-[a,b]", "x-../../etc", "x-" + "y" * 300, "ä b'c", "a\nb"])
def test_wild_and_long_names_become_safe_and_stay_apart(text: str) -> None:
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
            ["experiment-paper-average__seed-3", "experiment-paper-average_unbalanced__seed-4"],
        ),
    ],
)
def test_command_names_its_sweep_and_jobs(
    arguments: list[str],
    folder: str,
    jobs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from audiobag.cli.train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["audiobag-train", "-m", *arguments, "hydra.launcher.dry_run=true"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    shown = capfd.readouterr().err
    assert all(f" {job} " in shown for job in jobs)
    assert [p.name for p in (tmp_path / "outputs" / "sweeps").iterdir()] == [folder]
    master = OmegaConf.load(tmp_path / "outputs" / "sweeps" / folder / "multirun.yaml")
    assert master.hydra.sweep.dir == f"outputs/sweeps/{folder}"
