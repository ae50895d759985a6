"""TensorBoard and MLflow, and properties of all trackers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from audiobag.runs import RunConfig, RunDirectory
from audiobag.sweep.handover import HandedOver
from audiobag.sweep.jobs import Job
from audiobag.tracking import MLflowTracker, Subject, TensorBoardTracker


def test_tensorboard_has_curves_figures_and_the_table(run: RunDirectory) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    loss = {event.step: event.value for event in events.Scalars("train/loss")}
    assert loss == pytest.approx(run.curve("train/loss"))
    assert [event.step for event in events.Images("measure")] == [4, 8]
    (table,) = events.Tensors("per_class/text_summary")
    assert "| 4 | class 4 |" in table.tensor_proto.string_val[0].decode()
    (code,) = events.Tensors("exit_code/text_summary")
    assert code.tensor_proto.string_val[0].decode().strip() == "0"


def test_mlflow_has_curves_figures_and_the_table(run: RunDirectory) -> None:
    from mlflow import MlflowClient

    known = run.tracked("mlflow")
    client = MlflowClient(known["uri"])
    found = client.get_run(known["id"])
    assert found.info.status == "FINISHED"
    assert found.data.tags["exit_code"] == "0"
    assert {"ours": "true", "two words": "true"}.items() <= found.data.tags.items()
    assert found.data.tags["model"] == str(run.checkpoints / "step-00000008.ckpt")
    loss = {m.step: m.value for m in client.get_metric_history(known["id"], "train/loss")}
    assert loss == pytest.approx(run.curve("train/loss"))
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert sorted(p.name for p in (artifacts / "measure").iterdir()) == ["00000004.png", "00000008.png"]
    assert len(json.loads((artifacts / "per_class.json").read_text())["data"]) == 5
    assert json.loads((artifacts / "config.json").read_text())["embedding"]["width"] == 8


def test_another_job_may_make_the_experiment_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    make = MlflowClient.create_experiment

    def overtaken(client: MlflowClient, name: str) -> str:
        make(client, name)
        return make(client, name)

    monkeypatch.setattr(MlflowClient, "create_experiment", overtaken)
    run = RunDirectory(tmp_path / "run")
    tracker = MLflowTracker()
    tracker.start(Subject(run, {}, []))
    tracker.finish(0)
    assert "stopped tracking" not in caplog.text
    assert run.tracked("mlflow")["id"]


@pytest.mark.parametrize("kind", [TensorBoardTracker, MLflowTracker])
def test_a_missing_package_is_named_at_the_start(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'audiobag\[(tensorboard|mlflow)\]'"):
        kind()


def test_the_sweep_of_a_job_is_the_folder_that_all_jobs_share() -> None:
    sweep = Path("outputs/sweeps/table2")
    handed = HandedOver(RunConfig({}), {})
    assert Job("a", sweep / "a", handed).sweep == "table2"
    assert Job("deep/er", sweep / "deep" / "er", handed).sweep == "table2"
