"""Training steps as one function: on a CPU without a graph, by the same code."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from audiobag.runs.checkpoints import load_checkpoint
from audiobag.training import fitting
from audiobag.training.whole_step import captures, obstacle
from tests.composing import trained
from tests.conftest import make_store

OPTIONS: dict[str, Any] = {"accelerator": "gpu", "devices": 1, "num_nodes": 1, "precision": "bf16-mixed"}
WINDOW = (
    "callbacks=averaging",
    *(f"callbacks.averaging.{k}={v}" for k, v in (("first", 4), ("last", 8), ("every", 2))),
)


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of bags of one length, so that ordinary batches have the shapes of whole steps too."""
    folder = tmp_path_factory.mktemp("even")
    make_store(folder / "bal_train.h5", clips=80, classes=5, shortest=4, longest=4)
    make_store(folder / "eval.h5", clips=41, classes=5, seed=1)
    return folder


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Train by whole steps, on the CPU."""
    monkeypatch.setattr(fitting, "captures", lambda *_: True)
    return monkeypatch


def state(folder: Path, step: int) -> dict[str, Any]:
    content = load_checkpoint(folder / "checkpoints" / f"step-{step:08d}.ckpt")
    return {key: content[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "loops")}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)


@pytest.mark.parametrize(
    "options",
    [
        ("trainer.precision=32-true",),
        ("trainer.precision=bf16-mixed", "optimizer=adamw", "lr_scheduler=cosine"),
        ("pooling=max", "loss=frame", "sampler=weighted", "embedding.batch_norm=true"),
        ("optimizer.fused=false", "embedding=gru", "sampler=uniform", "data.val_fraction=0", *WINDOW),
        ("augment=[mixup,frame_dropout]", "callbacks=[default,ema]", "lr_scheduler=one_cycle"),
    ],
)
def test_whole_steps_train_bit_for_bit_as_ordinary_steps(
    even: Path, tmp_path: Path, options: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """Weights, the optimizer's state, counters of steps, logged losses, validations and averages."""
    ordinary = trained(even, tmp_path / "ordinary", *options)
    request.getfixturevalue("whole")
    found = trained(even, tmp_path / "whole", *options)
    for step in (6, 8):
        assert same(state(tmp_path / "whole", step), state(tmp_path / "ordinary", step))
    for key in ("val", "test", "test_averaged"):
        assert found.metrics.get(key) == ordinary.metrics.get(key)
    csv = "csv/version_0/metrics.csv"
    losses = [
        [line.split(",")[header.split(",").index("train/loss")] for line in lines]
        for header, *lines in ((tmp_path / name / csv).read_text().splitlines() for name in ("ordinary", "whole"))
    ]
    assert losses[0] == losses[1]
    assert any(losses[0])


@pytest.mark.parametrize("first", ["whole", "ordinary"])
def test_a_run_continues_by_steps_of_the_other_kind(
    even: Path, tmp_path: Path, first: str, whole: pytest.MonkeyPatch
) -> None:
    expected = trained(even, tmp_path / "run").metrics["test"]
    for name in ("metrics.json", "checkpoints/step-00000008.ckpt"):
        (tmp_path / "run" / name).unlink()
    whole.setattr(fitting, "captures", lambda *_: first == "ordinary")
    assert trained(even, tmp_path / "run").metrics["test"] == expected


def test_bags_of_several_lengths_train_alike(data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Batches of whole steps are padded to the longest bag of all, so dropout draws other numbers."""
    still = ("embedding.dropout=0",)
    ordinary = trained(data, tmp_path / "ordinary", *still)
    request.getfixturevalue("whole")
    found = trained(data, tmp_path / "whole", *still)
    weights, expected = (state(run.path, 8)["state_dict"] for run in (found, ordinary))
    for name in expected:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-4, atol=1e-5)


def adam(fused: bool = True) -> torch.optim.Optimizer:
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], fused=fused)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, None),
        ({"devices": [0]}, None),
        ({"accelerator": "cpu"}, "accelerator is cpu"),
        ({"devices": -1}, "more than one process"),
        ({"devices": 2}, "more than one process"),
        ({"num_nodes": 2}, "more than one process"),
        ({"precision": "16-mixed"}, "16-mixed"),
        ({"gradient_clip_val": 1.0}, "clipped"),
        ({"placement": "mapped"}, "placement is mapped, not device"),
        ({"padding": 3.0}, "the longest clip is 3.0 times as long as the mean"),
        ({"compile": "default"}, None),
        ({"compile": "reduce-overhead"}, "compile is reduce-overhead"),
        ({"optimizer": adam(fused=False)}, "not a fused Adam"),
        ({"optimizer": torch.optim.SGD([torch.zeros(2)], fused=True)}, "not a fused Adam"),
    ],
)
def test_what_cannot_be_captured_is_said(
    change: dict[str, Any], what: str | None, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    known = {"placement": "device", "padding": 1.0, "compile": None, "optimizer": adam()}
    options = {**OPTIONS, **{k: v for k, v in change.items() if k not in known}}
    reason = obstacle(options, **{**known, **{k: v for k, v in change.items() if k in known}})
    assert (reason is None) if what is None else (what in str(reason))
    caplog.set_level(logging.INFO)
    assert captures("auto", options, reason) is (what is None)
    assert not captures("never", options, reason)
    if what is None:
        assert captures("always", options, reason)
    else:
        assert (what in caplog.text) is (options["accelerator"] == "gpu")
        with pytest.raises(ValueError, match=r"^graph cannot be always, since "):
            captures("always", options, reason)


@pytest.mark.parametrize("devices", [-1, "auto"])
def test_all_gpus_are_one_process_where_there_is_one_gpu(devices: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    options = {**OPTIONS, "devices": devices}
    assert obstacle(options, placement="device", padding=1.0, compile=None, optimizer=adam()) is None


def test_graphs_are_refused_on_a_cpu_in_a_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="graph cannot be always, since accelerator is cpu"):
        trained(data, tmp_path, "graph=always")
