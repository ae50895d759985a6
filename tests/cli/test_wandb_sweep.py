"""Searches as sweeps of W&B: the YAML, and a run as `wandb agent` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml

from audiobag.runs import RunDirectory
from audiobag.runs.offline import sync_command
from audiobag.utils.errors import ExitCode
from tests.commands import train
from tests.tracking.dotwandb import starts

SMALL = ("data.batch_size=16", "trainer.max_steps=2", "trainer.log_every_n_steps=1", "embedding.width=8")


def generated(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert train(monkeypatch, "--wandb-sweep", *arguments) == 0
    content = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(content, dict)
    return content


def of_agent(sweep: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Return the command that the agent of wandb 0.31 makes of a sweep and the values of a run."""
    words: list[str] = []
    for word in sweep["command"]:
        if word == "${args_no_hyphens}":
            words += [f"{key}={value}" for key, value in values.items()]
        elif word != "${env}":
            words.append(word)
    return words


def test_a_search_is_a_sweep_of_wandb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ranges = ("optimizer.lr=tag(log,interval(0.001,0.1))", "embedding.depth=range(1,4)", "seed=int(interval(0,9))")
    found = generated(monkeypatch, capsys, *ranges, "pooling=average,max", "data.root=data")
    assert found["parameters"] == {
        "optimizer.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "embedding.depth": {"values": [1, 2, 3]},
        "seed": {"distribution": "int_uniform", "min": 0, "max": 9},
        "pooling": {"values": ["average", "max"]},
    }
    assert found["metric"] == {"name": "objective", "goal": "maximize"}
    assert "data.root=data" in found["command"]


def test_a_preset_keeps_its_search_space(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    monkeypatch.chdir(tmp_path)
    found = generated(monkeypatch, capsys, "sweep=search_attention", "embedding.depth=2")
    assert (found["method"], found["run_cap"], found["name"]) == ("bayes", 32, "search_attention-synthetic")
    assert found["parameters"]["embedding.batch_norm"] == {"values": [True, False]}
    assert "embedding.depth" not in found["parameters"]
    assert {"sweep=search_attention", "hydra.mode=RUN", "embedding.depth=2"} <= set(found["command"])


@pytest.fixture
def fresh_wandb() -> Iterator[None]:
    """The client reads the environment once."""
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("fresh_wandb")
def test_a_run_of_the_agent_is_in_the_group_and_continues_under_its_id(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = generated(monkeypatch, capsys, "pooling=average,max", "embedding.batch_norm=true,false", *SMALL)
    program, *arguments = of_agent(sweep, {"pooling": "max", "embedding.batch_norm": True})
    assert program == "audiobag-train"
    for name, value in (("MODE", "offline"), ("RUN_ID", "agent1"), ("SWEEP_ID", "sweep1")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    assert train(monkeypatch, *arguments, f"data.root={data}") == 0
    run = RunDirectory(tmp_path / "outputs" / "sweeps" / sweep["name"] / "agent1")
    config = run.config().config
    assert (config["pooling"]["measure"]["_target_"], config["embedding"]["batch_norm"]) == (
        "audiobag.pooling.Max",
        True,
    )
    (tracked,) = starts(run.path)
    assert (tracked.run.run_id, tracked.run.run_group) == ("agent1", sweep["name"])
    assert tracked.summary["objective"] == (run.metrics() or {})["val"]["mAP"]
    (run.path / "metrics.json").unlink()  # as after an interruption
    assert train(monkeypatch, *arguments, f"data.root={data}") == 0
    assert "continuing from" in (run.path / "train.log").read_text()
    assert [one.run.run_id for one in starts(run.path)] == ["agent1", "agent1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed=1"], "needs something to search"),
        (["threads=1,null"], "threads cannot be None in a sweep of W&B"),
        (["data.root='a,b','c'"], "data.root cannot be 'a,b' in a sweep of W&B"),
        (["tags='1',x"], "tags cannot be '1' in a sweep of W&B"),
        (["pooling=nope", "seed=0,1"], "Could not find 'pooling/nope'"),
    ],
)
def test_what_an_agent_cannot_do_is_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(monkeypatch, "--wandb-sweep", *arguments) == ExitCode.USER
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_sweep_is_sent_by_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (tmp_path / "my sweep" / job / "wandb" / f"offline-run-{job}" for job in ("a", "b"))
    alone = tmp_path / "run" / "wandb" / "offline-run-c"
    assert sync_command([first, second, alone]) == (
        "wandb sync 'my sweep'/*/wandb/offline-run-* run/wandb/offline-run-c"
    )
