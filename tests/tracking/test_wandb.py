"""The content of the .wandb file of a run."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from PIL import Image

from audiobag.data.store import open_store
from audiobag.runs import RunDirectory, config_hash
from audiobag.tracking.wandb import WandbTracker, store_artifact
from audiobag.training.callbacks import Heartbeat
from audiobag.utils.errors import InputError, Interrupted
from tests.composing import small_training, trained
from tests.conftest import make_store
from tests.tracking.dotwandb import Tracked, starts

OFFLINE = "logger=wandb_offline"


@pytest.fixture(scope="session")
def tracked(run: RunDirectory) -> Tracked:
    (only,) = starts(run.path)
    return only


def test_the_run_has_its_name_tags_and_configuration(run: RunDirectory, tracked: Tracked, data: Path) -> None:
    about = tracked.run
    assert about.run_id == run.tracked("wandb")["id"]
    assert (about.project, about.display_name, about.job_type) == ("audiobag", "alone", "train")
    assert (about.run_group, about.notes) == ("", "a note")
    assert list(about.tags) == ["ours", "two words", "synthetic", "attention_softmax"]  # experiment and pooling
    assert tracked.exit_code == 0
    config = tracked.config
    assert config["embedding"]["width"] == 8
    assert config["data"]["sampler"]["_target_"] == "audiobag.sampler.Balanced"  # resolved and nested
    assert config["choices"] == (run.metrics() or {})["choices"]
    assert config["tags"] == ["ours", "two words"]
    assert config["git_revision"] == (run.metrics() or {})["git_revision"]
    assert config["stores"]["eval"] == open_store(data / "eval.h5").content_sha256


def test_history_and_summary_have_the_numbers_of_the_run(run: RunDirectory, tracked: Tracked) -> None:
    metrics = run.metrics() or {}
    for name in ("train/loss", "train/lr", "train/clips_per_second", "memory/peak_gib"):
        assert tracked.curve(name) == pytest.approx(run.curve(name))
        assert [*tracked.curve(name)] == [2, 4, 6, 8]
    for name in ("val/mAP", "val/loss"):
        assert [*tracked.curve(name)] == [4, 8]
        assert tracked.curve(name) == pytest.approx(run.curve(name))
    for scored in ("val", "test", "test_averaged"):
        for name in ("mAP", "AUC", "d_prime"):
            assert tracked.curve(f"{scored}/{name}")[8] == pytest.approx(metrics[scored][name], abs=1e-6)
            shown = tracked.summary[f"{scored}/{name}"]
            assert (shown["last"] if scored == "val" else shown) == pytest.approx(metrics[scored][name], abs=1e-6)
    for name, best in (("mAP", max), ("AUC", max), ("d_prime", max), ("loss", min)):
        values = [row[f"val/{name}"] for row in tracked.history if f"val/{name}" in row]
        assert tracked.summary[f"val/{name}"][best.__name__] == best(values)
    assert tracked.summary["objective"] == metrics["val"]["mAP"]
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
    """Heat maps are logged at each validation, the other figures at the end."""
    assert [*tracked.images("measure")] == [4, 8]
    for name, steps in (("measure", (4, 8)), ("precision_recall", (8,)), ("ap_against_frequency", (8,))):
        for step in steps:
            pixels = np.asarray(Image.open(tracked.images(name)[step]).convert("L"))
            assert len(np.unique(pixels)) > 20  # not blank
    first, last = (tracked.images("measure")[step].read_bytes() for step in (4, 8))
    assert first != last


def test_checkpoint_and_predictions_are_artifacts(run: RunDirectory, tracked: Tracked) -> None:
    assert [artifact.type for artifact in tracked.artifacts if artifact.type != "run_table"] == ["model", "predictions"]
    paths = {"model": run.checkpoints / "step-00000008.ckpt", "predictions": run.predictions}
    for artifact in tracked.artifacts:
        (entry,) = artifact.manifest.contents
        assert Path(entry.local_path).is_relative_to(run.path)
        if artifact.type in paths:
            assert entry.local_path == str(paths[artifact.type])  # sent from its place, without a copy
            assert json.loads(artifact.metadata)["step"] == 8


def test_the_artifact_of_a_store_is_another_version_for_other_content(tmp_path: Path) -> None:
    path = tmp_path / "my data" / "eval.h5"
    first, again, other = (store_artifact(make_store(path, seed=seed)) for seed in (0, 0, 1))
    assert (first.type, first.description) == ("dataset", str(path))
    assert re.fullmatch("my-data-eval-[0-9a-f]{8}", first.name)
    assert store_artifact(make_store(tmp_path / "data" / "eval.h5")).name == "data-eval"
    assert store_artifact(make_store(tmp_path / "my-data" / "eval.h5")).name == "my-data-eval"
    long = [store_artifact(make_store(tmp_path / ("d" * 120) / f"evaluation{i}.h5")).name for i in range(2)]
    assert [len(name) for name in long] == [128, 128]
    assert long[0] != long[1]
    assert first.metadata == {"content_sha256": make_store(path).content_sha256, "clips": 60, "classes": 7}
    assert first.digest == again.digest
    assert first.digest != other.digest


class Trouble:
    """Ends a training at step 4 with an exception."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        def on_train_batch_end(_: Any, trainer: Any, *__: Any) -> None:
            if trainer.global_step == 4:
                raise error

        monkeypatch.setattr(Heartbeat, "on_train_batch_end", on_train_batch_end)


def test_what_is_sent_is_chosen_and_told(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    few = ("trainer.max_steps=2", "tags=[]")
    with caplog.at_level(logging.INFO, "audiobag"):
        trained(data, tmp_path / "a", OFFLINE, *few, "logger.wandb.artifacts=[]")
        trained(data, tmp_path / "b", OFFLINE, *few)
    nothing, usual = (starts(tmp_path / name)[0] for name in "ab")
    assert (nothing.artifacts, "per_class" in nothing.summary, nothing.images("measure")) == ([], False, {})
    assert [artifact.type for artifact in usual.artifacts] == ["run_table", "model"]
    told = [r.getMessage() for r in caplog.records if r.getMessage().startswith("W&B: the run sends")]
    assert told[0] == "W&B: the run sends curves and no files; not model, predictions, tables, pictures"
    assert told[1] == ("W&B: the run sends curves and the model (about 0.0 MB), tables and pictures; not predictions")
    with pytest.raises(InputError, match="artifacts must be one of model, predictions, tables, pictures, got movies"):
        WandbTracker(artifacts=["movies"])


def test_an_interrupted_run_is_given_back_to_its_sweep(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trouble(monkeypatch, Interrupted())
    with pytest.raises(Interrupted):
        trained(data, tmp_path, OFFLINE)
    (start,) = starts(tmp_path)
    assert start.preempting
    assert start.exit_code == 75


@pytest.mark.parametrize(
    ("error", "code"), [(RuntimeError("bug"), 1), (InputError("mistake"), 2), (Interrupted(), 75), (SystemExit(75), 75)]
)
def test_the_exit_code_is_recorded_however_a_run_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    Trouble(monkeypatch, error)
    with pytest.raises(type(error)):
        trained(data, tmp_path, OFFLINE)
    (tracked,) = starts(tmp_path)
    assert tracked.exit_code == code
    assert tracked.curve("train/loss").keys() == {2}
    assert tracked.config["seed"] == 0


def test_a_continued_run_keeps_its_id_and_its_sweep(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOBAG_SWEEP", "pooling-synthetic")
    with monkeypatch.context() as patched:
        Trouble(patched, Interrupted())
        with pytest.raises(Interrupted):
            trained(data, tmp_path / "job", OFFLINE)
    monkeypatch.delenv("AUDIOBAG_SWEEP")
    trained(data, tmp_path / "job", OFFLINE)
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
        trained(data, tmp_path / name, *short)
    ids = {starts(tmp_path / name)[0].run.run_id for name in ("a", "b")}
    assert len(ids) == 2
    assert all([*starts(tmp_path / name)[0].images("measure")] == [2] for name in ("a", "b"))  # clips of the eval set


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_failing_tracker_logs_one_warning_and_the_run_continues(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    holder: Any = wandb if where == "init" else wandb.Run
    monkeypatch.setattr(holder, where, fail)
    with caplog.at_level(logging.WARNING, "audiobag"):
        record = trained(data, tmp_path, OFFLINE, "trainer.max_steps=4").metrics
    assert record["status"] == "done"
    assert RunDirectory(tmp_path).metrics() == record
    assert [r.getMessage() for r in caplog.records if r.name.startswith("audiobag")] == [
        "wandb stopped tracking (OSError: [Errno 28] No space left on device); the run continues, and its"
        " directory has all results"
    ]
    monkeypatch.undo()
    wandb.teardown()


def test_an_online_run_continues_offline_without_a_server(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("audiobag.tracking.wandb.SECONDS_TO_INIT", 1)
    trained(data, tmp_path, "logger=wandb", "trainer.max_steps=2")
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said.startswith("no W&B server (")
    (tracked,) = starts(tmp_path)
    assert tracked.exit_code == 0
    assert tracked.summary["test/mAP"] == (RunDirectory(tmp_path).metrics() or {})["test"]["mAP"]
    monkeypatch.undo()
    wandb.teardown()  # the client remembers the server and the key


def test_trackers_and_tags_do_not_change_the_hash(data: Path, tmp_path: Path, run: RunDirectory) -> None:
    hashes = {
        config_hash(small_training(data, tmp_path, *o))
        for o in ([], ["logger=[wandb,mlflow]", "logger.wandb.project=x"], [OFFLINE, "tags=[a]"])
    }
    assert len(hashes) == 1


QUICK = ("trainer.max_steps=2", "data.val_fraction=0", "tags=[]")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A W&B server with an account, whose first visitor would be noticed."""
    wandb.teardown()  # the client remembers another server
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening
    wandb.teardown()


def test_disabled_sends_nothing_and_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: socket.socket
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    trained(data, tmp_path / "a", "logger=wandb", *QUICK)
    monkeypatch.delenv("WANDB_MODE")
    trained(data, tmp_path / "b", "logger=wandb", "logger.wandb.mode=disabled", *QUICK)
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert not {"wandb", "tracking.json"} & {path.name for path in folder.iterdir()}
    with pytest.raises(TimeoutError):
        server.accept()


@pytest.mark.parametrize("mode", ["offline", "dryrun"])
def test_the_environment_decides_what_the_command_does_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: socket.socket, mode: str
) -> None:
    chosen = {
        "MODE": mode,
        "PROJECT": "mine",
        "ENTITY": "team",
        "NAME": "a name",
        "RUN_ID": "id42",
        "RUN_GROUP": "a group",
        "JOB_TYPE": "search",
        "TAGS": "one, two",
        "NOTES": "noted",
        "DIR": str(tmp_path / "elsewhere"),
    }
    for name, value in chosen.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("AUDIOBAG_SWEEP", "a sweep")
    trained(data, tmp_path / "run", "logger=wandb", *QUICK)
    with pytest.raises(TimeoutError):
        server.accept()
    (tracked,) = starts(tmp_path / "elsewhere")
    about = tracked.run
    assert (about.project, about.entity, about.display_name, about.run_id) == ("mine", "team", "a name", "id42")
    assert (about.run_group, about.job_type, about.notes) == ("a group", "search", "noted")
    assert list(about.tags) == ["one", "two", "synthetic", "attention_softmax", "a group"]
    assert not (tmp_path / "run" / "wandb").exists()
    assert RunDirectory(tmp_path / "run").unsent() == [tracked.folder]


def test_the_command_decides_before_the_environment(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROJECT", "RUN_GROUP", "TAGS", "NOTES", "JOB_TYPE"):
        monkeypatch.setenv(f"WANDB_{name}", "environment")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    given = [f"logger.wandb.{key}=command" for key in ("project", "group", "notes", "job_type")]
    trained(data, tmp_path, OFFLINE, *QUICK[:2], "tags=[command]", *given)
    (tracked,) = starts(tmp_path)
    about = tracked.run
    assert {about.project, about.run_group, about.notes, about.job_type} == {"command"}
    assert list(about.tags) == ["command", "synthetic", "attention_softmax"]


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(InputError, match=r"^WANDB_MODE must be one of online, offline, disabled, got of"):
        WandbTracker()
    with pytest.raises(InputError, match=r"^mode must be one of"):
        WandbTracker(mode="none")
