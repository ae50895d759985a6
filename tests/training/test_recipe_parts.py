"""Augmentations, averaged weights and learning-rate schedules in a training, whole and interrupted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiobag.augment import Mixup, TrainingClips
from audiobag.bags import BagPrediction
from audiobag.data.store import open_store
from audiobag.loss import ClipBCE
from audiobag.runs.checkpoints import load_checkpoint
from audiobag.runs.configuration import config_hash
from audiobag.runs.directory import RunDirectory
from audiobag.training import WarmupCosine, evaluate
from audiobag.training.callbacks import RunCheckpoints
from tests.composing import composed, small_training, trained
from tests.training.test_fitting import WINDOW, continued, probabilities
from tests.training.test_hot_path import waits
from tests.training.test_objects import fitted

ALL = "augment=[mixup,frame_dropout,frame_shuffle,gaussian_noise,label_smoothing]"
EMA = ("callbacks=[averaging,ema]", *WINDOW[1:], "callbacks.ema.decay=0.7")
SWA = ("callbacks=[averaging,swa]", *WINDOW[1:], "callbacks.swa.first=3", "callbacks.swa.every=2")


@pytest.fixture
def all_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunCheckpoints, "KEEP", 9)


@pytest.mark.usefixtures("all_checkpoints")
@pytest.mark.parametrize("step", [3, 6])
@pytest.mark.parametrize(
    "overrides",
    [
        (*EMA, ALL, "lr_scheduler=warmup_cosine", "lr_scheduler.warmup=4", "embedding.batch_norm=true"),
        (*SWA, "augment=mixup", "lr_scheduler=one_cycle"),
        ("callbacks=[default,ema]", "callbacks.ema.first=5"),
    ],
)
def test_interrupted_run_ends_with_the_same_numbers(
    data: Path, tmp_path: Path, step: int, overrides: tuple[str, ...]
) -> None:
    whole, halved = continued(data, tmp_path, step, *overrides)
    assert halved == whole
    final = "checkpoints/step-00000008.ckpt"
    weights, expected = (load_checkpoint(tmp_path / f / final) for f in ("halved", "whole"))
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(weights[part][k], expected[part][k]) for k in expected[part])


def at_steps(data: Path, tmp_path: Path, *overrides: str) -> list[dict[str, torch.Tensor]]:
    """Return the weights after each of 8 steps of a run without averaging."""
    folder = tmp_path / "plain"
    trained(data, folder, "callbacks.checkpoints.every=1", *overrides)
    return [load_checkpoint(RunDirectory(folder).step_checkpoint(step))["state_dict"] for step in range(1, 9)]


@pytest.mark.usefixtures("all_checkpoints")
@pytest.mark.parametrize("every", [1, 2])
def test_ema_is_the_equation(data: Path, tmp_path: Path, every: int) -> None:
    plain = at_steps(data, tmp_path, "embedding.batch_norm=true")
    options = ("callbacks=[default,ema]", "callbacks.ema.first=2", f"callbacks.ema.every={every}")
    trained(data, tmp_path / "ema", *options, "callbacks.ema.decay=0.6", "embedding.batch_norm=true")
    content = load_checkpoint(RunDirectory(tmp_path / "ema").scored_checkpoint())
    for name, found in content["state_dict"].items():
        assert torch.equal(content["current_model_state"][name], plain[-1][name])
        if found.is_floating_point():  # not the number of batches that batch norm has seen
            expected = plain[1][name].double()
            for weights in plain[1 + every :: every]:
                expected = 0.6**every * expected + (1 - 0.6**every) * weights[name].double()
            torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("all_checkpoints")
def test_swa_is_the_mean_of_the_window(data: Path, tmp_path: Path) -> None:
    plain = at_steps(data, tmp_path, "embedding.batch_norm=true")
    options = ("callbacks=[default,swa]", "callbacks.swa.first=3", "callbacks.swa.every=2")
    trained(data, tmp_path / "swa", *options, "embedding.batch_norm=true")
    found = load_checkpoint(RunDirectory(tmp_path / "swa").scored_checkpoint())["state_dict"]
    for name in (name for name, value in found.items() if value.is_floating_point()):
        expected = torch.stack([plain[step - 1][name].double() for step in (3, 5, 7)]).mean(0)
        torch.testing.assert_close(found[name].double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("select", ["last", "best"])
@pytest.mark.parametrize("first", [1, 5])
def test_the_averaged_weights_are_validated_and_scored(data: Path, tmp_path: Path, select: str, first: int) -> None:
    """Also where the best validation is one before the averaging starts, of the weights as they were."""
    options = ("callbacks=[default,ema]", "callbacks.ema.decay=0.9", f"callbacks.ema.first={first}", "seed=3")
    ruin = ("optimizer.lr=0.3", "trainer.val_check_interval=1")
    run = trained(data, tmp_path / "run", f"select={select}", *options, *ruin)
    curve = list(RunDirectory(run.path).curve("val/mAP").values())
    expected = max(curve[:8]) if select == "best" else curve[7]
    assert run.metrics["val"]["mAP"] == pytest.approx(expected, abs=1e-6)
    assert evaluate(run.path, tmp_path / "again")["test"] == run.metrics["test"]
    frames = open_store(data / "eval.h5").frames[:3]
    clip = run.tagger.predict([frames]).clip
    assert clip.shape == (1, 5)


def test_averaged_predictions_are_those_of_the_averaged_weights(data: Path, tmp_path: Path) -> None:
    window = ("callbacks=[averaging,ema]", "callbacks.averaging.first=8", "callbacks.averaging.last=8")
    run = trained(data, tmp_path / "run", *window, "callbacks.averaging.every=1", "callbacks.ema.decay=0.9")
    assert run.metrics["test_averaged"] == run.metrics["test"]
    assert (probabilities(run.path) == probabilities(run.path, "probability_averaged")).all()


def test_averaging_that_training_does_not_reach_changes_nothing(data: Path, tmp_path: Path) -> None:
    options = ("callbacks.early_stopping.patience=1", "optimizer.lr=0", "trainer.max_steps=50", "seed=1")
    plain = trained(data, tmp_path / "plain", "callbacks=early_stopping", *options).metrics
    late = trained(
        data, tmp_path / "late", "callbacks=[early_stopping,swa]", "callbacks.swa.first=50", *options
    ).metrics
    assert late["train"]["steps"] < 50
    assert (late["test"], late["val"]) == (plain["test"], plain["val"])


def test_early_stopping_scores_the_averaged_weights_that_a_checkpoint_holds(data: Path, tmp_path: Path) -> None:
    options = ("callbacks=[early_stopping,ema]", "callbacks.early_stopping.patience=1", "optimizer.lr=0")
    run = trained(data, tmp_path / "run", *options, "trainer.max_steps=50", "trainer.val_check_interval=5")
    assert evaluate(run.path, tmp_path / "again")["test"] == run.metrics["test"]


def test_augmentation_changes_training_and_not_scoring(data: Path, tmp_path: Path) -> None:
    plain, still, mixed = (
        trained(data, tmp_path / name, *options).metrics
        for name, options in (
            ("plain", ("optimizer.lr=0",)),
            ("still", ("optimizer.lr=0", ALL)),
            ("mixed", (ALL,)),
        )
    )
    assert still["test"] == plain["test"]
    assert mixed["test"] != plain["test"]


@pytest.fixture(scope="module")
def folds(data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folders of two runs, each of which holds one half of the training clips out, as a list for Hydra."""
    folder = tmp_path_factory.mktemp("folds")
    for fold in (0, 1):
        trained(data, folder / str(fold), "data.folds=2", f"data.fold={fold}")
    return f"[{folder}/0,{folder}/1]"


@pytest.mark.parametrize("part", ["distillation", "label_enhancement"])
def test_folds_teach_all_clips_and_mixing_comes_later(data: Path, tmp_path: Path, folds: str, part: str) -> None:
    whole = ("data.val_fraction=0", f"augment.{part}.teacher.paths={folds}")
    before = trained(data, tmp_path / "before", f"augment=[{part},mixup]", *whole).metrics
    after = trained(data, tmp_path / "after", f"augment=[mixup,{part}]", *whole).metrics
    plain = trained(data, tmp_path / "plain", "augment=mixup", "data.val_fraction=0").metrics
    assert before["test"] == after["test"] != plain["test"]


def test_a_clip_that_no_fold_held_out_is_refused(data: Path, tmp_path: Path, folds: str) -> None:
    options = ("augment=distillation", f"augment.distillation.teacher.paths={folds[1:-1].split(',')[0]}")
    with pytest.raises(ValueError, match=r"paths have no prediction of .* clips, the first is clip.*of each fold"):
        trained(data, tmp_path, *options)


def test_parents_are_added_while_training(data: Path, tmp_path: Path) -> None:
    mids = open_store(data / "eval.h5").description.class_mids
    chain = [{"id": mid, "child_ids": [*mids[k + 1 : k + 2]]} for k, mid in enumerate(mids)]
    (tmp_path / "ontology.json").write_text(json.dumps(chain))
    options = ("augment=ontology_parents", f"augment.ontology_parents.path={tmp_path}/ontology.json")
    record = trained(data, tmp_path / "run", *options).metrics
    assert record["test"] != trained(data, tmp_path / "plain").metrics["test"]


def test_no_augmentation_is_the_configuration_of_older_runs(tmp_path: Path) -> None:
    config = small_training(tmp_path, tmp_path)
    assert config["augment"] == {}
    older = {key: value for key, value in config.items() if key != "augment"}
    assert config_hash(config) == config_hash(older)
    assert config_hash({**config, "augment": {"mixup": {"alpha": 1}}}) != config_hash(older)


def test_objects_are_augmented_and_told_apart(data: Path, tmp_path: Path) -> None:
    record = fitted(data, tmp_path / "run", augment=[Mixup(1.0)])
    assert record["test"] == trained(data, tmp_path / "options", "augment=mixup").metrics["test"]
    with pytest.raises(ValueError, match="another configuration: augment was"):
        fitted(data, tmp_path / "run")
    with pytest.raises(ValueError, match=r"another configuration: augment was .*Mixup\(alpha=1\.0\)"):
        fitted(data, tmp_path / "run", augment=[Mixup(0.5)])


class Heard(nn.Module):
    """A loss with `set_training_clips`, and with an unrelated `setup`."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[bytes] = []

    def set_training_clips(self, clips: TrainingClips) -> None:
        self.ids += clips.video_id.tolist()

    def setup(self, *arguments: object) -> None:
        raise AssertionError("nothing of a training may call it")

    def forward(self, prediction: BagPrediction, labels: Tensor, mask: Tensor) -> Tensor:
        return ClipBCE()(prediction, labels, mask)


def test_a_loss_is_told_of_the_training_clips_by_a_method_of_its_own_name(data: Path, tmp_path: Path) -> None:
    loss = Heard()
    fitted(data, tmp_path / "run", loss=loss)
    stored = open_store(data / "bal_train.h5").columns.video_id.tolist()
    assert 0 < len(loss.ids) <= len(stored)
    assert set(loss.ids) <= set(stored)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_an_augmented_step_does_not_wait_for_its_device(data: Path, tmp_path: Path, precision: str) -> None:
    assert waits(data, tmp_path, ALL, f"trainer.precision={precision}") == []


def test_warmup_cosine_is_the_equation() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = WarmupCosine(optimizer, steps=20, warmup=5, floor=0.1)
    for step in range(25):
        if step < 5:
            expected = 0.2 * (step + 1) / 5
        else:
            expected = 0.2 * (0.1 + 0.9 * (1 + math.cos(math.pi * min(1, (step - 5) / 15))) / 2)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (("augment=mixup", "augment.mixup.alpha=0"), r"augment\.mixup\.alpha must be a number in \(0, inf\), got 0"),
        (("callbacks=[default,ema]", "callbacks.ema.decay=1"), r"callbacks\.ema\.decay must be a number in \[0, 1\)"),
        (("callbacks=[default,swa]", "callbacks.swa.every=0"), r"callbacks\.swa\.every must be"),
        (("loss=focal", "loss.gamma=0.5"), r"loss\.gamma must be 0 or at least 1, got 0\.5"),
        (("lr_scheduler=warmup_cosine",), "warmup must be less than lr_scheduler.steps=8, got 100"),
    ],
)
def test_unusable_values_are_refused(data: Path, tmp_path: Path, overrides: tuple[str, ...], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        trained(data, tmp_path, *overrides)


def test_parts_are_composed_in_the_order_of_the_command(tmp_path: Path) -> None:
    config = composed("train", "augment=[frame_dropout,mixup]", f"paths.run={tmp_path}")
    assert list(config["augment"]) == ["frame_dropout", "mixup"]
