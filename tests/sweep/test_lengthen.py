"""Jobs that continue the shorter run of another sweep."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from audiobag.runs import RunDirectory
from audiobag.sweep.handover import HandedOver
from audiobag.sweep.jobs import Job
from audiobag.sweep.lengthen import lengthen, shorter_run
from tests.composing import trained
from tests.permissions import unprivileged


def job(folder: Path, like: Path) -> Job:
    """Return the job in a folder with the configuration of the run in another."""
    return Job(folder.name, folder, HandedOver(RunDirectory(like).config(), {}))


def probabilities(folder: Path) -> np.ndarray:
    with h5py.File(folder / "predictions.h5") as file:
        return np.asarray(file["probability"][()])


def test_a_longer_run_continues_the_shorter_one_and_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    short, whole, long = (tmp_path / name / "seed-0" for name in ("short", "elsewhere/whole", "long"))
    trained(data, short)
    before = {path: path.read_bytes() for path in short.rglob("*") if path.is_file()}
    trained(data, whole, "trainer.max_steps=12")
    todo = job(long, whole)
    assert shorter_run(todo) == short
    lengthen(todo)
    assert todo.begun
    assert shorter_run(todo) is None
    trained(data, long, "trainer.max_steps=12")
    np.testing.assert_array_equal(probabilities(long), probabilities(whole))
    assert {4, 8, 12} <= RunDirectory(long).curve("val/mAP").keys()
    assert {path: path.read_bytes() for path in short.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("change", ["lr_scheduler=cosine", "optimizer.lr=0.01", "trainer.max_steps=5"])
def test_other_changes_start_from_the_beginning(
    data: Path, tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    short, other = tmp_path / "short" / "seed-0", tmp_path / "elsewhere" / "other" / "seed-0"
    same = ["lr_scheduler=cosine"] if change == "lr_scheduler=cosine" else []
    trained(data, short, "trainer.max_steps=6", *same)
    trained(data, other, "trainer.max_steps=7", change)
    with caplog.at_level("INFO"):
        assert shorter_run(job(tmp_path / "long" / "seed-0", other)) is None
    assert ("lr_scheduler.T_max follows trainer.max_steps" in caplog.text) == bool(same)


def test_a_sweep_of_somebody_else_that_may_not_be_read_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs" / "seed-0").mkdir(parents=True)
    (tmp_path / "theirs").chmod(0)
    done = unprivileged(
        f"""
        from pathlib import Path
        from audiobag.runs import RunConfig
        from audiobag.sweep.handover import HandedOver
        from audiobag.sweep.jobs import Job
        from audiobag.sweep.lengthen import shorter_run
        folder = Path({str(tmp_path)!r}, "mine", "seed-0")
        print(shorter_run(Job(folder.name, folder, HandedOver(RunConfig({{}}), {{}}))))
        """
    )
    (tmp_path / "theirs").chmod(0o755)
    assert (done.stdout, done.stderr) == ("None\n", "")
