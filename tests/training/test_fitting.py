from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

import audiobag
from audiobag.cli.messages import message
from audiobag.data import BagDataModule, BagDataset, in_fold
from audiobag.data.store import open_store
from audiobag.metrics import tagging_scores
from audiobag.runs.checkpoints import load_checkpoint, newest_whole
from audiobag.runs.directory import RunDirectory
from audiobag.training import evaluate
from audiobag.training.callbacks import AtomicCheckpointIO, RunCheckpoints
from tests.composing import trained
from tests.conftest import make_store

WINDOW = (
    "callbacks=averaging",
    "callbacks.averaging.first=4",
    "callbacks.averaging.last=8",
    "callbacks.averaging.every=2",
)


def run(data: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    return trained(data, folder, *overrides).metrics


def results(record: dict[str, Any]) -> dict[str, Any]:
    return {k: record[k] for k in ("config_hash", "val", "test", "test_averaged") if k in record}


def continued(data: Path, tmp_path: Path, step: int, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the results of a run, and of the same run when it is interrupted after `step` and continues."""
    whole = trained(data, tmp_path / "whole", *overrides).metrics
    halved = tmp_path / "halved"
    shutil.copytree(tmp_path / "whole", halved)
    for later in ("metrics.json", "predictions.h5", "per_class.csv"):
        (halved / later).unlink()
    for checkpoint in (halved / "checkpoints").glob("*.ckpt"):
        if checkpoint.name != f"step-{step:08d}.ckpt":
            checkpoint.unlink()
    return results(whole), results(trained(data, halved, *overrides).metrics)


def probabilities(folder: Path, name: str = "probability") -> np.ndarray:
    with h5py.File(folder / "predictions.h5") as file:
        return np.asarray(file[name][()])


def test_run_directory_is_the_contract(data: Path, tmp_path: Path) -> None:
    record = run(data, tmp_path, *WINDOW)
    assert json.loads((tmp_path / "metrics.json").read_text()) == record
    assert record["status"] == "done"
    assert record["train"].keys() >= {"steps", "seconds", "clips_per_second", "precision", "devices", "threads"}
    assert record["train"]["steps"] == 8
    assert record["stores"]["eval"] == open_store(data / "eval.h5").content_sha256
    assert record["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    store = open_store(data / "eval.h5")
    with h5py.File(tmp_path / "predictions.h5") as file:
        assert file["probability"].dtype == np.float32
        np.testing.assert_array_equal(file["video_id"][()], store.columns.video_id)
    labels = store.labels.dense()
    for key, name in (("test", "probability"), ("test_averaged", "probability_averaged")):
        mean = average_precision_score(labels, probabilities(tmp_path, name), average="macro")
        assert record[key]["mAP"] == pytest.approx(mean, abs=1e-9)
    with (tmp_path / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["name"] for r in rows] == list(store.description.class_names)
    assert [int(r["positives"]) for r in rows] == labels.sum(0).tolist()
    assert np.mean([float(r["AP"]) for r in rows]) == pytest.approx(record["test"]["mAP"], abs=1e-12)


def test_same_seed_same_numbers_other_seed_others(data: Path, tmp_path: Path) -> None:
    first, again, other = (run(data, tmp_path / name, f"seed={seed}") for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert results(first) == results(again)
    assert results(first)["test"] != results(other)["test"]


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_held_out_clips_are_predicted_with_the_weights_that_are_scored(
    data: Path, tmp_path: Path, select: str
) -> None:
    record = run(data, tmp_path, "data.fold=1", "data.folds=3", f"select={select}")
    video_id, probability = RunDirectory(tmp_path).read_hold_out()
    store = open_store(data / "bal_train.h5")
    held = in_fold(store.columns.video_id, 1, 3)
    np.testing.assert_array_equal(video_id, store.columns.video_id[held])
    scores = tagging_scores(torch.from_numpy(probability), torch.from_numpy(store.labels.dense()[held]))
    assert scores.summary() == record["val"]
    held_frames = BagDataset([store], np.flatnonzero(held)).batch(np.arange(held.sum()))
    again = audiobag.load(tmp_path).predict(held_frames.frames, held_frames.lengths)
    np.testing.assert_allclose(probability, again.clip.numpy(), atol=1e-6)


def test_averaged_predictions_are_the_mean_over_the_window(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "whole", *WINDOW, "data.val_fraction=0")
    at_step = []
    for steps in (4, 6, 8):
        run(data, tmp_path / str(steps), "data.val_fraction=0", f"trainer.max_steps={steps}")
        at_step.append(probabilities(tmp_path / str(steps)))
    np.testing.assert_allclose(
        probabilities(tmp_path / "whole", "probability_averaged"), np.mean(at_step, 0), rtol=1e-6
    )
    np.testing.assert_array_equal(probabilities(tmp_path / "whole"), at_step[-1])


@pytest.mark.parametrize("step", [3, 6])
def test_interrupted_run_ends_with_the_same_numbers(
    data: Path, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a checkpoint before the averaging window and from one within it."""
    monkeypatch.setattr(RunCheckpoints, "KEEP", 9)
    whole, halved = continued(data, tmp_path, step, *WINDOW)
    assert halved == whole
    for name in ("probability", "probability_averaged"):
        np.testing.assert_array_equal(*(probabilities(tmp_path / f, name) for f in ("halved", "whole")))
    final = "checkpoints/step-00000008.ckpt"
    weights, expected = (load_checkpoint(tmp_path / f / final)["state_dict"] for f in ("halved", "whole"))
    assert all(torch.equal(weights[k], expected[k]) for k in expected)


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    AtomicCheckpointIO().save_checkpoint({"state": torch.ones(3)}, tmp_path / "a.ckpt")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"state": torch.zeros(9)}, tmp_path / "b.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["state"].tolist() == [1, 1, 1]


def test_checkpoints_are_not_moved_from_elsewhere(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another file system moving is copying; and what a killed start left behind is removed."""

    def move(*_: object) -> None:
        raise AssertionError("moved")

    leftover = tmp_path / "checkpoints" / ".step-00000003.ckpt.1-00000000.tmp"
    leftover.parent.mkdir()
    leftover.touch()
    monkeypatch.setattr(shutil, "move", move)
    run(data, tmp_path)
    assert {p.name for p in leftover.parent.iterdir()} == {"best.ckpt", "step-00000006.ckpt", "step-00000008.ckpt"}


def test_damaged_checkpoint_falls_back_to_the_one_before(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(data, tmp_path)
    (tmp_path / "metrics.json").unlink()
    last = tmp_path / "checkpoints" / "step-00000008.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert newest_whole(RunDirectory(tmp_path)) == tmp_path / "checkpoints" / "step-00000006.ckpt"
    assert results(run(data, tmp_path)) == results(whole)
    assert f"{last} is damaged" in caplog.text


def test_threads_are_those_the_run_began_with(data: Path, tmp_path: Path) -> None:
    """The last digits can depend on them: a run that continues elsewhere takes as many as before."""
    here = torch.get_num_threads()
    try:
        assert run(data, tmp_path, "threads=3")["train"]["threads"] == 3
        (tmp_path / "metrics.json").unlink()
        torch.set_num_threads(1)
        assert run(data, tmp_path)["train"]["threads"] == 3
    finally:
        torch.set_num_threads(here)


def test_first_lines_say_what_the_training_takes(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(data, tmp_path)
    # 80 clips of which a third is held out; 6 numbers a frame; 3 x 8 units, 2 heads of 5 classes.
    weights, biases = 6 * 8 + 2 * 8 * 8 + 2 * 8 * 5, 3 * 8 + 2 * 5
    assert "clips to train on" in caplog.text
    assert "41 to score" in caplog.text
    assert "mapped from the file" in caplog.text
    assert f"{weights + biases:,} parameters" in caplog.text


def test_checkpoints_hold_plain_containers_and_two_are_kept(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path)
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.ckpt", "step-00000006.ckpt", "step-00000008.ckpt"]
    content = load_checkpoint(tmp_path / "checkpoints" / names[-1])  # weights_only=True
    assert content["audiobag"]["class_names"] == [f"class {k}" for k in range(5)]
    assert content["audiobag"]["config"]["embedding"]["width"] == 8


def test_another_configuration_in_the_same_folder_is_refused(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"another configuration: optimizer\.lr was 0\.001, is 0\.1; choose"):
        run(data, tmp_path, "optimizer.lr=0.1")


def test_best_weights_are_those_of_the_best_validation(data: Path, tmp_path: Path) -> None:
    """A learning rate that ruins the model after a good start makes the two differ."""
    ruin = ("optimizer.lr=0.3", "trainer.val_check_interval=1", "seed=3")
    best = run(data, tmp_path / "best", "select=best", *ruin)
    with (tmp_path / "best" / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["val/mAP"]]
    curve = [float(r["val/mAP"]) for r in rows]
    assert best["val"]["mAP"] == pytest.approx(max(curve), abs=1e-6)
    assert max(curve) > run(data, tmp_path / "last", *ruin)["val"]["mAP"]


def test_no_hold_out_needs_no_validation(data: Path, tmp_path: Path) -> None:
    record = run(data, tmp_path, "data.val_fraction=0")
    assert "val" not in record
    assert record["test"]["classes"] == 5


def test_evaluate_reproduces_the_test_to_the_last_digit(data: Path, tmp_path: Path) -> None:
    record = run(data, tmp_path / "train")
    checkpoint = tmp_path / "train" / "checkpoints" / "step-00000008.ckpt"
    for named in (checkpoint, tmp_path / "train"):
        again = evaluate(named, tmp_path / "again")
        assert again["test"] == record["test"]
        assert again["step"] == 8
        np.testing.assert_array_equal(probabilities(tmp_path / "again"), probabilities(tmp_path / "train"))


def test_evaluate_refuses_a_store_of_other_classes(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "train")
    make_store(tmp_path / "other" / "eval.h5", classes=6)
    other = BagDataModule(tmp_path / "other", train=(), test="eval")
    with pytest.raises(ValueError, match=r"step-00000008\.ckpt knows 5 classes, .*eval\.h5 has 6"):
        evaluate(tmp_path / "train", tmp_path / "again", data=other)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_evaluate_refuses_what_is_no_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"some\.ckpt"):
        evaluate(path, tmp_path)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (
            (*WINDOW[:2], "callbacks.averaging.last=9", WINDOW[3]),
            "ends at step 9, after the last training step 8",
        ),
        (
            (*WINDOW[:2], "callbacks.averaging.last=3", WINDOW[3]),
            r"averaging\.last must be .* at least 4 \(the window",
        ),
        (("trainer.precision=16-mixed",), r"trainer\.precision cannot be 16-mixed on a CPU"),
        (("trainer.precision=64",), r"trainer\.precision must be one of 32-true.*got 64"),
        (("trainer=gpu",), r"trainer\.accelerator cannot be gpu: torch finds no GPU"),
        (("trainer.max_steps=0",), r"trainer\.max_steps must be a whole number of at least 1, got 0"),
        (("trainer.log_every_n_steps=0",), r"trainer\.log_every_n_steps must be"),
        (("trainer.val_check_interval=0.5",), r"trainer\.val_check_interval must be .*got 0\.5"),
        (("trainer.gradient_clip_val=-1",), r"trainer\.gradient_clip_val must be a number in \(0, inf\), or null"),
        (("callbacks.checkpoints.every=0",), r"callbacks\.checkpoints\.every must be"),
        (("seed=abc",), "'abc' of type 'str' could not be converted to Integer"),
        (("select=first",), r"Invalid value 'first', expected one of \[last, best\]"),
        (("embedding.depth=-1",), r"embedding\.depth must be a whole number of at least 1, got -1"),
        (("embedding=gru", "embedding.width=0"), r"embedding\.width must be"),
        (("optimizer.lr=-1",), "optimizer cannot be built: Invalid learning rate: -1"),
        (("optimizer.lr=high",), "optimizer cannot be built with the text lr=high: "),
        (("lr_scheduler=cosine", "+lr_scheduler.steps=3"), "lr_scheduler cannot be built: .* argument 'steps'"),
        (("lr_scheduler=warmup_cosine",), r"^lr_scheduler\.warmup must be less than lr_scheduler\.steps=\d+, got 100"),
        (
            ("select=best", "trainer.val_check_interval=100"),
            r"^trainer\.val_check_interval must be at most trainer\.max_steps=\d+ if select is best, got 100",
        ),
        (
            ("callbacks=[default,swa]", "callbacks.swa.first=99"),
            "averaged from step 99 on, after the last",
        ),
        (("callbacks=[default,ema,swa]", "callbacks.swa.first=1"), "in one way: choose ema or swa"),
        (("ckpt_path=.",), r"^ckpt_path must be a checkpoint, or the folder of a run that has one, got \.$"),
        (("select=best", "data.val_fraction=0"), "cannot be best without a hold-out"),
        (("threads=0",), "threads must be"),
        (
            ("trainer=ddp_cpu", "data.batch_size=15"),
            r"^data\.batch_size must be divisible by the number of processes, 2",
        ),
        (("+trainer.fast_dev_run=true",), r"trainer\.fast_dev_run must be false, got true.* use debug=fast"),
        (("+trainer.overfit_batches=1",), r"trainer\.overfit_batches must be 0, got 1.* use debug=overfit"),
        (("+trainer.limit_test_batches=1",), r"trainer\.limit_test_batches must be null, got 1"),
        (("compile=fast",), "compile must be one of default.*got fast"),
        (("data.root=nowhere",), "no store at nowhere/bal_train.h5"),
    ],
)
def test_unusable_values_are_refused_in_a_sentence(
    data: Path, tmp_path: Path, overrides: tuple[str, ...], what: str
) -> None:
    if "gpu" in what.lower() and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(Exception, match=what) as caught:
        run(data, tmp_path, *overrides)
    assert message(caught.value, {}, "") is not None
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("pooling=max", "sampler=uniform"),
        ("loss=frame", "pooling=average", "lr_scheduler=cosine"),
        ("embedding=gru", "pooling=attention_relu", "sampler=weighted"),
        ("embedding.batch_norm=true", "pooling=attention_sigmoid", "optimizer=adamw"),
    ],
)
def test_components_train_together(data: Path, tmp_path: Path, options: tuple[str, ...], precision: str) -> None:
    record = run(data, tmp_path, "trainer.max_steps=2", f"trainer.precision={precision}", *options)
    assert 0 < record["test"]["mAP"] <= 1
    assert record["train"]["precision"] == precision


def test_compiling_needs_a_compiler(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"compile=default needs a C\+\+ compiler and there is no no-such-compiler"):
        run(data, tmp_path, "compile=default")
