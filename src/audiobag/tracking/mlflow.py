"""MLflow: one MLflow run per run directory, on a server or in files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from audiobag.tracking.tracker import Subject, Tracker, need
from audiobag.utils.errors import ExitCode

_STATUS: Mapping[int, str] = {ExitCode.DONE: "FINISHED", ExitCode.INTERRUPTED: "KILLED"}
_LONGEST = 5000  # characters in a tag


class MLflowTracker(Tracker):
    """Mirrors a run to MLflow. The id is kept in tracking.json, so that an interrupted run continues as the same one.

    Args:
        tracking_uri: URI of the server; None for the variable MLFLOW_TRACKING_URI, or for `mlruns/` in the run
            directory if that is not set.
        experiment: name of the MLflow experiment; None for MLFLOW_EXPERIMENT_NAME, or `audiobag`.
        group: a tag that the runs of one sweep share.
        tags: further tags. Each of the words in the configuration's `tags` becomes a tag too, with the value "true".

    Raises:
        ValueError: MLflow is not installed.
    """

    title = "mlflow"

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        group: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        need("mlflow", "mlflow")
        self._uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "audiobag"
        self._group, self._tags = group, dict(tags or {})
        self._client: Any = None
        self._id = ""

    def _start(self, subject: Subject) -> None:
        from mlflow import MlflowClient

        if self._uri is None:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # the only store that needs no database
        uri = self._uri or (subject.run.path / "mlruns").resolve().as_uri()
        client = MlflowClient(uri)
        before = subject.run.tracked(self.title)
        if before.get("uri") == uri:
            self._id = before["id"]
            client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._create(client, subject)
            subject.run.note_tracked(self.title, {"id": self._id, "uri": uri})
        self._client = client

    def _create(self, client: Any, subject: Subject) -> str:
        from mlflow.exceptions import MlflowException

        try:
            experiment = client.create_experiment(self._experiment)
        except MlflowException:  # it exists, perhaps for a moment, by another job
            experiment = client.get_experiment_by_name(self._experiment).experiment_id
        words = dict.fromkeys(subject.config.get("tags") or (), "true")
        tags = {**words, **self._tags, **({"group": self._group} if self._group else {})}
        tags |= {f"store.{s.path.stem}": f"{s.path.resolve()} sha256:{s.content_sha256}" for s in subject.stores}
        run = client.create_run(experiment, tags=tags, run_name=subject.name)
        for key, value in subject.config.items():
            client.set_tag(run.info.run_id, key, (value if isinstance(value, str) else json.dumps(value))[:_LONGEST])
        client.log_dict(run.info.run_id, dict(subject.config), "config.json")
        return str(run.info.run_id)

    def _numbers(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, [Metric(name, float(value), now, step) for name, value in metrics.items()])

    def _picture(self, name: str, figure: Figure, step: int) -> None:
        self._client.log_figure(self._id, figure, f"{name}/{step:08d}.png")

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        content = {"columns": list(columns), "data": [list(row) for row in rows]}
        self._client.log_dict(self._id, content, f"{name}.json")  # the format of log_table, which needs pandas

    def _summarise(self, numbers: Mapping[str, float]) -> None:
        self._client.log_dict(self._id, dict(numbers), "summary.json")

    def _file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None:
        if self._uri is None:  # both are in the run directory: no copy is needed
            self._client.set_tag(self._id, kind, str(path.resolve()))
        else:
            self._client.log_artifact(self._id, str(path), kind)
        self._client.log_dict(self._id, dict(about), f"{kind}/about.json")

    def _finish(self, code: int) -> None:
        if self._client is not None:
            self._client.set_tag(self._id, "exit_code", str(code))
            self._client.set_terminated(self._id, _STATUS.get(code, "FAILED"))
