"""What lies in the .wandb file of a run."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from PIL import Image

from audiobag.callbacks import Heartbeat
from audiobag.errors import Interrupted, UserError
from audiobag.runs import RunDirectory, config_hash
from audiobag.store import open_store
from tests.composing import small_training
from tests.tracking.conftest import CHOICES, track
from tests.tracking.dotwandb import Tracked, starts

OFFLINE = "logger=wandb_offline"


@pytest.fixture(scope="session")
def tracked(run: RunDirectory) -> Tracked:
    (only,) = starts(run.path)
    return only


def test_a_run_says_what_it_is(run: RunDirectory, tracked: Tracked, data: Path) -> None:
    about = tracked.run
    assert about.run_id == run.tracked("wandb")["id"]
    assert (about.project, about.display_name, about.job_type) == ("audiobag", "alone", "train")
    assert (about.run_group, about.notes) == ("", "a note")
    assert list(about.tags) == ["ours", "synthetic", "paper/attention_softmax"]
    assert tracked.exit_code == 0
    config = tracked.config
    assert config["embedding"]["width"] == 8
    assert config["data"]["sampler"]["_target_"] == "audiobag.sampler.Balanced"  # resolved and nested
    assert config["choices"] == CHOICES
    assert config["git_revision"] == (run.metrics() or {})["git_revision"]
    assert config["stores"]["eval"] == open_store(data / "eval.h5").content_sha256


def test_history_and_summary_have_the_runs_own_numbers(run: RunDirectory, tracked: Tracked) -> None:
    metrics = run.metrics() or {}
    for name in ("train/loss", "train/lr", "train/clips_per_second", "memory/peak_gib"):
        assert tracked.curve(name) == pytest.approx(run.curve(name))
        assert [*tracked.curve(name)] == [1, 3, 5, 7]
    assert [*tracked.curve("val/mAP")] == [3, 7, 8]
    for scored in ("val", "test", "test_averaged"):
        for name in ("mAP", "AUC", "d_prime"):
            assert tracked.curve(f"{scored}/{name}")[8] == pytest.approx(metrics[scored][name], abs=1e-6)
            assert tracked.summary[f"{scored}/{name}"] == metrics[scored][name]
    assert tracked.summary["clips_per_second"] == metrics["train"]["clips_per_second"]


def test_the_table_of_classes(run: RunDirectory, tracked: Tracked) -> None:
    table, classes = tracked.table("per_class"), run.read_per_class()
    assert table["columns"] == ["index", "class", "training clips", "eval clips", "AP"]
    index, names, trained, scored, AP = zip(*table["data"], strict=True)
    assert (index, names) == (tuple(range(5)), classes.names)
    assert scored == tuple(classes.positives)
    assert pytest.approx(classes.average_precision) == AP
    assert min(trained) > 0
    assert trained != scored


def test_pictures(tracked: Tracked) -> None:
    """Heat maps at each point of validation and at the end; the two others at the end."""
    assert [*tracked.images("measure")] == [4, 8]
    for name, steps in (("measure", (4, 8)), ("precision_recall", (8,)), ("ap_against_frequency", (8,))):
        for step in steps:
            pixels = np.asarray(Image.open(tracked.images(name)[step]).convert("L"))
            assert len(np.unique(pixels)) > 20  # something is drawn
    first, last = (tracked.images("measure")[step].read_bytes() for step in (4, 8))
    assert first != last


def test_artifacts_and_their_lineage(run: RunDirectory, tracked: Tracked, data: Path) -> None:
    by_type = {kind: [a for a in tracked.artifacts if a.type == kind] for kind in ("dataset", "model", "predictions")}
    for artifact, name in zip(by_type["dataset"], ("bal_train", "eval"), strict=True):
        (entry,) = artifact.manifest.contents
        assert artifact.use_after_commit  # an input of the run
        assert entry.ref == (data / f"{name}.h5").as_uri()
        assert entry.digest == json.loads(artifact.metadata)["content_sha256"]
        assert entry.digest == open_store(data / f"{name}.h5").content_sha256
        assert not entry.local_path  # never copied
    for kind, path in (("model", run.checkpoints / "step-00000008.ckpt"), ("predictions", run.predictions)):
        (artifact,) = by_type[kind]
        (entry,) = artifact.manifest.contents
        assert not artifact.use_after_commit
        assert entry.local_path == str(path)
        assert json.loads(artifact.metadata)["step"] == 8
    stray = [e.local_path for a in tracked.artifacts for e in a.manifest.contents if e.local_path]
    assert all(Path(path).is_relative_to(run.path) for path in stray)


class Trouble:
    """Lets a training end at step 4 with an exception."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        def on_train_batch_end(_: Any, trainer: Any, *__: Any) -> None:
            if trainer.global_step == 4:
                raise error

        monkeypatch.setattr(Heartbeat, "on_train_batch_end", on_train_batch_end)


@pytest.mark.parametrize(
    ("error", "code"), [(RuntimeError("bug"), 1), (UserError("mistake"), 2), (Interrupted(), 75), (SystemExit(75), 75)]
)
def test_the_exit_code_is_there_however_a_run_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    Trouble(monkeypatch, error)
    with pytest.raises(type(error)):
        track(data, tmp_path, OFFLINE)
    (tracked,) = starts(tmp_path)
    assert tracked.exit_code == code
    assert tracked.curve("train/loss").keys() == {1}
    assert tracked.config["seed"] == 0


def test_a_continued_run_keeps_its_id_and_its_sweep(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOBAG_SWEEP", "pooling-synthetic")
    with monkeypatch.context() as patched:
        Trouble(patched, Interrupted())
        with pytest.raises(Interrupted):
            track(data, tmp_path / "job", OFFLINE)
    monkeypatch.delenv("AUDIOBAG_SWEEP")
    track(data, tmp_path / "job", OFFLINE)
    first, second = starts(tmp_path / "job")
    assert first.run.run_id == second.run.run_id
    assert first.run.run_group == second.run.run_group == "pooling-synthetic"
    assert (first.exit_code, second.exit_code) == (75, 0)
    assert max(first.curve("train/loss")) < min(second.curve("train/loss"))
    run = RunDirectory(tmp_path / "job")
    assert run.unsent() == [first.folder, second.folder]
    next(first.folder.glob("*.wandb")).with_suffix(".wandb.synced").touch()
    assert run.unsent() == [second.folder]


def test_two_runs_of_one_process_stay_two(data: Path, tmp_path: Path) -> None:
    short = (OFFLINE, "trainer.max_steps=2", "data.val_fraction=0")
    for name in ("a", "b"):
        track(data, tmp_path / name, *short)
    ids = {starts(tmp_path / name)[0].run.run_id for name in ("a", "b")}
    assert len(ids) == 2
    assert all([*starts(tmp_path / name)[0].images("measure")] == [2] for name in ("a", "b"))  # of the scored set


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_tracker_that_fails_costs_a_warning_and_nothing_else(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    holder: Any = wandb if where == "init" else wandb.Run
    monkeypatch.setattr(holder, where, fail)
    with caplog.at_level(logging.WARNING, "audiobag"):
        record = track(data, tmp_path, OFFLINE, "trainer.max_steps=4")
    assert record["status"] == "done"
    assert RunDirectory(tmp_path).metrics() == record
    assert [r.getMessage() for r in caplog.records if r.name.startswith("audiobag")] == [
        "wandb stopped tracking (OSError: [Errno 28] No space left on device); the run goes on, and its directory"
        " holds everything"
    ]
    monkeypatch.undo()
    wandb.teardown()


def test_without_a_server_an_online_run_becomes_an_offline_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("audiobag.tracking.wandb._SECONDS_TO_INIT", 1)
    track(data, tmp_path, "logger=wandb", "trainer.max_steps=2")
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said.startswith("no W&B server (")
    (tracked,) = starts(tmp_path)
    assert tracked.exit_code == 0
    assert tracked.summary["test/mAP"] == (RunDirectory(tmp_path).metrics() or {})["test"]["mAP"]
    monkeypatch.undo()
    wandb.teardown()  # the client would keep the server and the key


def test_trackers_decide_nothing(data: Path, tmp_path: Path, run: RunDirectory) -> None:
    hashes = {
        config_hash(small_training(data, tmp_path, *o))
        for o in ([], ["logger=[wandb,mlflow]", "logger.wandb.project=x"], [OFFLINE, "logger.wandb.tags=[a]"])
    }
    assert len(hashes) == 1
