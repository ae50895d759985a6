"""Runs that are made longer in their own folder."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import h5py
import numpy as np
import pytest

from audiobag.runs import RunConfig, RunDirectory
from audiobag.runs.lengthening import lengthen_here
from audiobag.utils.errors import InputError
from tests.composing import trained


def probabilities(folder: Path) -> np.ndarray:
    with h5py.File(folder / "predictions.h5") as file:
        return np.asarray(file["probability"][()])


def test_a_longer_run_continues_in_its_folder_and_keeps_the_results_of_the_shorter_one(
    data: Path, tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    trained(data, whole, "trainer.max_steps=12")
    short = trained(data, run).metrics
    before = probabilities(run)
    long = trained(data, run, "trainer.max_steps=12").metrics
    assert long["train"]["steps"] == 12
    assert long["test"] == (RunDirectory(whole).metrics() or {})["test"]
    np.testing.assert_array_equal(probabilities(run), probabilities(whole))
    kept = RunDirectory(run / "before" / "step-00000008")
    assert kept.metrics() == short
    np.testing.assert_array_equal(probabilities(kept.path), before)
    assert kept.scored_checkpoint().is_file()
    assert kept.config().config["trainer"]["max_steps"] == 8
    assert trained(data, run, "trainer.max_steps=12").metrics == long


def test_an_interrupted_run_is_lengthened_too(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()  # as if it had not come to its scores
    assert trained(data, tmp_path / "run", "trainer.max_steps=9").metrics["train"]["steps"] == 9
    assert not (tmp_path / "run" / "before").exists()


def test_a_run_whose_schedule_depends_on_its_length_is_refused(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path, "lr_scheduler=cosine")
    with pytest.raises(InputError, match=r"cannot be lengthened: lr_scheduler\.T_max follows trainer\.max_steps"):
        trained(data, tmp_path, "lr_scheduler=cosine", "trainer.max_steps=9")
    assert (RunDirectory(tmp_path).metrics() or {})["train"]["steps"] == 8


def test_a_run_that_failed_before_its_first_step_leaves_its_folder_to_another(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="warmup must be less than"):
        trained(data, tmp_path, "lr_scheduler=warmup_cosine", "lr_scheduler.warmup=8")
    with pytest.raises(InputError, match="warmup must be less than"):  # max_steps alone has grown, and steps follows it
        trained(data, tmp_path, "lr_scheduler=warmup_cosine", "lr_scheduler.warmup=9", "trainer.max_steps=9")
    metrics = trained(
        data, tmp_path, "lr_scheduler=warmup_cosine", "lr_scheduler.warmup=9", "trainer.max_steps=10"
    ).metrics
    assert metrics["train"]["steps"] == 10
    assert not (tmp_path / "before").exists()


@pytest.mark.parametrize("change", ["trainer.max_steps=7", "optimizer.lr=0.01"])
def test_any_other_change_is_refused(data: Path, tmp_path: Path, change: str) -> None:
    trained(data, tmp_path)
    with pytest.raises(InputError, match="holds a run of another configuration"):
        trained(data, tmp_path, "trainer.max_steps=9", change)
    assert not (tmp_path / "before").exists()


def test_other_ranks_wait_until_the_first_one_has_lengthened(tmp_path: Path) -> None:
    def config(steps: int) -> RunConfig:
        return RunConfig({"seed": 0, "trainer": {"max_steps": steps}})

    run = RunDirectory(tmp_path)
    run.begin(config(8))
    run.checkpoints.mkdir()
    run.step_checkpoint(4).touch()
    second = Thread(target=lengthen_here, args=(run, config(12)), kwargs={"first": False})
    second.start()
    second.join(0.3)
    assert second.is_alive()
    lengthen_here(run, config(12))
    second.join(10)
    assert not second.is_alive()
    assert run.config().config == config(12).config
