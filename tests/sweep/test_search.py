"""Searches with a storage, without their jobs."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from audiobag.sweep.search import ContinueSearch

optuna = pytest.importorskip("optuna")


def start(folder: Path, storage: str, **options: Any) -> Any:
    """Return Hydra's configuration as the sweeper gets it."""
    sweeper = {"storage": storage, "study_name": None, "direction": "maximize", "n_trials": 6, "sampler": {"seed": 3}}
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}, "sweeper": {**sweeper, **options}}})
    ContinueSearch().on_multirun_start(config)
    return config.hydra.sweeper


def ask(study: Any) -> Any:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    return trial


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def test_an_interrupted_search_continues(tmp_path: Path, storage: str) -> None:
    new = start(tmp_path / "sweep", storage)
    assert (new.study_name, new.n_trials, new.sampler.seed) == ("sweep", 6, 3)
    study = optuna.load_study(study_name="sweep", storage=storage)
    done, failed, running = (ask(study) for _ in range(3))
    study.tell(done, 0.5)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    for _ in range(2):  # the second start is interrupted before its first trial
        again = start(tmp_path / "sweep", storage)
        assert (again.study_name, again.n_trials) == ("sweep", 5)
        assert again.sampler.seed > 3
        study = optuna.load_study(study_name="sweep", storage=storage)  # which keeps what it has read
        assert not [trial for trial in study.trials if trial.state.name == "RUNNING"]
    values = [ask(study).params for _ in range(3)]
    assert values[:2] == [failed.params, running.params]
    assert values[2] not in values[:2]


def test_another_folder_shares_a_study(tmp_path: Path, storage: str) -> None:
    start(tmp_path / "a", storage, study_name="ours")
    study = optuna.load_study(study_name="ours", storage=storage)
    ask(study)
    other = start(tmp_path / "b", storage, study_name="ours")
    assert (other.n_trials, other.sampler.seed) == (6, 3)
    assert [trial.state.name for trial in study.trials] == ["RUNNING"]


def test_a_running_search_is_left_alone(tmp_path: Path, storage: str, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path, storage)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit) as refused:
            start(tmp_path, storage)
    assert refused.value.code == 2
    assert "another copy of this sweep is running" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["study.db", "sqlite:////nowhere/study.db"])
def test_an_unusable_storage_is_refused(tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        start(tmp_path, address)
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("audiobag: hydra.sweeper.storage must be the address of a database")
    assert len(said.splitlines()) == 1


def test_other_sweepers_are_left_alone(tmp_path: Path) -> None:
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, "sweeper": {"params": {"seed": "0,1"}}}})
    before = config.copy()
    ContinueSearch().on_multirun_start(config)
    assert config == before
