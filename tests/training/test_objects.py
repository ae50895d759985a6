"""Training with objects only, and training that starts from a checkpoint or ends early."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import seed_everything

import audiobag
from audiobag.data import BagDataModule
from audiobag.embedding import MLP
from audiobag.model import build_model
from audiobag.pooling import Expectation, SoftmaxAttention
from audiobag.runs import RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from audiobag.sampler import Balanced
from audiobag.training import evaluate, fit
from tests.composing import trained
from tests.conftest import make_store

V0_1 = Path(__file__).parents[1] / "v0_1"


def fitted(data: Path, out: Path, width: int = 8, **options: Any) -> dict[str, Any]:
    module = BagDataModule(data, "bal_train", "eval", Balanced, batch_size=16, val_fraction=0.3)
    info = module.test_store.description
    seed_everything(0, verbose=False)
    model = build_model(
        partial(MLP, width=width),
        partial(Expectation, measure=SoftmaxAttention),
        dim=module.test_store.dim,
        classes=module.test_store.classes,
        scale=info.scale,
        offset=info.offset,
    )
    adam = partial(torch.optim.Adam, lr=1e-3, fused=True)
    return fit(
        model,
        module,
        out,
        optimizer=adam,
        **{"max_steps": 8, "val_check_interval": 4, "log_every_n_steps": 2, **options},
    )


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_checkpoint(RunDirectory(run).step_checkpoint(step))["state_dict"]
    return state


def test_objects_and_options_give_the_same_numbers(data: Path, tmp_path: Path) -> None:
    record = fitted(data, tmp_path / "objects")
    configured = trained(data, tmp_path / "options")
    assert record["test"] == configured.metrics["test"]
    assert record["val"] == configured.metrics["val"]
    assert RunDirectory(tmp_path / "objects").curve("val/mAP")


def test_a_complete_run_of_objects_is_not_repeated_and_others_are_refused(data: Path, tmp_path: Path) -> None:
    record = fitted(data, tmp_path / "run")
    assert fitted(data, tmp_path / "run") == record
    with pytest.raises(ValueError, match="another configuration: model was"):
        fitted(data, tmp_path / "run", width=9)
    with pytest.raises(ValueError, match=r"trainer\.max_steps was 8, is 9"):
        fitted(data, tmp_path / "run", max_steps=9)


def test_a_checkpoint_of_objects_names_the_way_to_load_it(data: Path, tmp_path: Path) -> None:
    fitted(data, tmp_path / "run")
    with pytest.raises(ValueError, match="trained from Python objects"):
        evaluate(tmp_path / "run", tmp_path / "again")
    with pytest.raises(ValueError, match="trained from Python objects"):
        audiobag.load(tmp_path / "run")


def test_fine_tuning_starts_with_the_weights_of_a_run(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "first")
    still = ("optimizer.lr=0", f"init_from={tmp_path}/first")
    trained(data, tmp_path / "second", *still)
    first, second = (weights(tmp_path / name, 8) for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_fine_tuning_on_other_classes_trains_a_new_pooling(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    trained(data, tmp_path / "first")
    for name in ("bal_train", "eval"):
        make_store(tmp_path / "other" / f"{name}.h5", classes=9)
    trained(tmp_path / "other", tmp_path / "second", "optimizer.lr=0", f"init_from={tmp_path}/first")
    first, second = (weights(tmp_path / name, 8) for name in ("first", "second"))
    same = {
        name for name in first if first[name].shape == second[name].shape and torch.equal(first[name], second[name])
    }
    assert {name for name in first if "embedding" in name} <= same
    assert second["model.pooling.classifier.weight"].shape[0] == 9
    assert "its classes differ, so the pooling is trained from scratch" in caplog.text


def test_an_interrupted_fine_tuning_continues_without_the_checkpoint_that_it_started_with(
    data: Path, tmp_path: Path
) -> None:
    trained(data, tmp_path / "first")
    whole = trained(data, tmp_path / "second", f"init_from={tmp_path}/first")
    for name in ("metrics.json", "checkpoints/step-00000008.ckpt"):
        (tmp_path / "second" / name).unlink()
    shutil.rmtree(tmp_path / "first")
    assert trained(data, tmp_path / "second", f"init_from={tmp_path}/first").metrics["test"] == whole.metrics["test"]


def test_fine_tuning_needs_the_same_embedding(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "first")
    with pytest.raises(ValueError, match=r"has model\.|has embedding\..*of shape .* instead of"):
        trained(data, tmp_path / "second", "embedding.width=4", f"init_from={tmp_path}/first")


def test_training_continues_from_a_checkpoint_of_another_run(data: Path, tmp_path: Path) -> None:
    whole = trained(data, tmp_path / "whole")
    checkpoint = RunDirectory(whole.path).step_checkpoint(6)
    continued = trained(data, tmp_path / "continued", f"ckpt_path={checkpoint}")
    assert continued.metrics["test"] == whole.metrics["test"]
    assert min(RunDirectory(continued.path).curve("train/loss")) >= 6


def test_a_continued_run_has_best_weights_of_its_own_though_no_validation_is_better(data: Path, tmp_path: Path) -> None:
    first = trained(data, tmp_path / "first", "select=best")
    options = (f"ckpt_path={first.path}", "trainer.max_steps=12", "optimizer.lr=0")
    second = trained(data, tmp_path / "second", "select=best", *options)
    assert second.metrics["val"]["mAP"] <= first.metrics["val"]["mAP"]
    assert RunDirectory(second.path).scored_checkpoint() == RunDirectory(second.path).best_checkpoint


def test_early_stopping_scores_weights_that_a_checkpoint_holds(data: Path, tmp_path: Path) -> None:
    options = ("callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.lr=0")
    run = trained(data, tmp_path / "run", *options, "trainer.max_steps=50", "trainer.val_check_interval=5")
    steps = run.metrics["train"]["steps"]
    assert steps < 50
    assert RunDirectory(run.path).scored_checkpoint() == RunDirectory(run.path).step_checkpoint(steps)
    assert evaluate(run.path, tmp_path / "again")["test"] == run.metrics["test"]
    with pytest.raises(ValueError, match=r"run holds a training run, whose files would be replaced"):
        evaluate(run.path, run.path)


def test_a_time_limit_ends_training_with_a_checkpoint(data: Path, tmp_path: Path) -> None:
    limit = ("trainer.max_steps=1000000", "+trainer.max_time={seconds: 1}", "trainer.val_check_interval=100000")
    run = trained(data, tmp_path / "run", *limit, "callbacks.checkpoints.every=100000")
    assert 0 < run.metrics["train"]["steps"] < 1_000_000
    assert RunDirectory(run.path).scored_checkpoint().is_file()


def test_averaging_is_refused_where_training_may_end_within_its_window(data: Path, tmp_path: Path) -> None:
    window = ("+callbacks.averaging._target_=audiobag.callbacks.PredictionAveraging", "+callbacks.averaging.first=2")
    options = (*window, "+callbacks.averaging.last=8", "+callbacks.averaging.every=2")
    with pytest.raises(ValueError, match="averaging cannot be combined with early stopping"):
        trained(data, tmp_path / "run", "callbacks=early_stopping", *options)


def test_a_checkpoint_of_the_first_version_is_scored_to_the_last_digit(tmp_path: Path) -> None:
    record = evaluate(V0_1 / "run", tmp_path / "again")
    old = RunDirectory(V0_1 / "run").metrics()
    assert old is not None
    again = {name: record["test"][name] for name in old["test"]}  # there are more scores now
    assert again == pytest.approx(old["test"], abs=1e-12)
