"""The folder of a run: the one place that writes it and reads it.

| entry | what |
| --- | --- |
| `config.json` | written first: the resolved configuration and its hash, the overrides, the CPU threads |
| `.hydra/` | the configuration as Hydra composed it |
| `train.log` | what the command logged |
| `.lock` | locked while a process works here |
| `progress.json` | where the run works and how far it is, see `runs.presence`; how it ended if it did not end well |
| `csv/` | the curves, one folder per start of the command |
| `tracking.json` | the id of the run in each tracker |
| `wandb/`, `tensorboard/`, `mlruns/` | the trackers' own files |
| `checkpoints/` | `step-*.ckpt` to continue from, `best.ckpt` if there is a hold-out |
| `predictions.h5` | of the eval set: video_id [N], probability [N, K], optionally probability_averaged [N, K] |
| `holdout.h5` | the same arrays for the training clips that were held out, if there are any; the same weights |
| `per_class.csv` | index, name, positives, training_clips, AP, AUC, d_prime of each class |
| `localisation.csv`, `localisation.h5` | with strong labels: scores of the seconds, see `runs.localisation` |
| `metrics.json` | written last: the run is complete if it says `"status": "done"` |
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiobag.runs import presence
from audiobag.runs.configuration import RunConfig, check_same, read_config, read_record
from audiobag.runs.localisation import PairScores, read_localisation, write_localisation
from audiobag.runs.per_class import ClassScores, read_per_class, write_per_class
from audiobag.runs.predictions import read_predictions, write_predictions
from audiobag.utils.errors import InputError
from audiobag.utils.files import read_json, write_json

RESULTS: Final = ("predictions.h5", "holdout.h5", "per_class.csv", "localisation.csv", "localisation.h5")
"""The files of scores beside metrics.json."""
# Traces of a training or of scores. run.json is of audiobag 0.1.
_TRACES: Final = ("metrics.json", "run.json", "predictions.h5", "checkpoints/*.ckpt", "csv/*/metrics.csv", "before")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of a run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The weights with the highest mAP on the hold-out, where there is a hold-out."""
        return best_checkpoint(self.checkpoints)

    def step_checkpoint(self, step: int) -> Path:
        """Return the path of the checkpoint after `step` training steps."""
        return step_checkpoint(self.checkpoints, step)

    def resumable(self) -> list[Path]:
        """Return the checkpoints that the run can continue from, newest first."""
        return step_checkpoints(self.checkpoints)

    def scored_checkpoint(self) -> Path:
        """Return the checkpoint with the weights that the run's scores belong to.

        Raises:
            ValueError: the run is not complete, or the checkpoint is no longer there.
        """
        metrics = self.metrics()
        training = (metrics or {}).get("train")
        steps = training.get("steps") if isinstance(training, dict) else None
        if not isinstance(steps, int):
            raise InputError(f"{self.path} is not a complete training run: {self.instead()}")
        best = self.config().config.get("select") == "best"
        path = self.best_checkpoint if best else self.step_checkpoint(steps)
        if not path.is_file():
            raise InputError(f"no checkpoint at {path}, which holds the weights that were scored")
        return path

    def instead(self) -> str:
        """Return what to give in place of a run that is not complete, for messages."""
        newest = next(iter(self.resumable()), None)
        return "give another one" if newest is None else f"give a checkpoint, such as {newest}"

    @property
    def progress(self) -> Path:
        """The file that tells the progress of a run."""
        return self.path / presence.NAME

    @property
    def predictions(self) -> Path:
        """The file of clip probabilities."""
        return self.path / "predictions.h5"

    def metrics(self) -> dict[str, Any] | None:
        """Return the content of metrics.json; None if the run is not complete.

        Raises:
            ValueError: the file was not written by audiobag.
        """
        return read_record(self.path / "metrics.json", "status")

    def config(self) -> RunConfig:
        """Return the configuration of the run.

        Raises:
            ValueError: the folder has no readable configuration.
        """
        return read_config(self.path)

    @property
    def begun(self) -> bool:
        """Whether a run has trained or scored here; one that failed before its first step has not."""
        return any(any(self.path.glob(trace)) for trace in _TRACES)

    def check(self, config: Mapping[str, Any]) -> None:
        """Check that no run of another configuration has begun here, and that no process works on one.

        Raises:
            OtherConfigurationError: lists every difference that can change the result.
            ValueError: a run has begun here, and its configuration cannot be read.
        """
        if self.begun or presence.at_work_elsewhere(self.path):
            check_same(self.path, config)

    def check_not_trained(self) -> None:
        """Check that no training run is here, whose scores other ones would replace.

        Raises:
            ValueError: a training run is here.
        """
        if self.checkpoints.is_dir() or "train" in (self.metrics() or {}):
            raise InputError(f"{self.path} holds a training run, whose files would be replaced: choose another folder")

    def remove_results(self) -> None:
        """Remove the results of an earlier evaluation, metrics.json first: others never stand beside its scores."""
        for name in ("metrics.json", *RESULTS):
            (self.path / name).unlink(missing_ok=True)

    def finished(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the metrics of a complete run, so that it need not run again; None if it is not complete.

        Raises:
            OtherConfigurationError: a run of another configuration is here.
        """
        metrics = self.metrics()
        if metrics is not None:
            self.check(config)
        return metrics

    def begin(self, config: RunConfig) -> None:
        """Write config.json, before anything else.

        Raises:
            OtherConfigurationError: a run of another configuration has begun here.
        """
        self.check(config.config)
        if not self.begun and read_json(self.path / "config.json").get("config_hash") != config.hash:
            self._tracking.unlink(missing_ok=True)  # of a run that failed before its first step
        config.write(self.path / "config.json")

    def threads(self) -> int | None:
        """Return the number of CPU threads that the run started with; None if it has not begun.

        The last digits of a result can depend on it.
        """
        recorded = any((self.path / name).exists() for name in ("config.json", "run.json"))
        return self.config().threads if self.begun and recorded else None

    def write_predictions(
        self,
        video_id: NDArray[np.character],
        probability: NDArray[np.float32],
        averaged: NDArray[np.float32] | None = None,
    ) -> None:
        """Write predictions.h5, see `runs.predictions`."""
        write_predictions(self.predictions, video_id, probability, averaged)

    def read_predictions(self, averaged: bool = False) -> tuple[NDArray[np.character], NDArray[np.float32]]:
        """Read predictions.h5, see `runs.predictions`."""
        return read_predictions(self.predictions, averaged)

    @property
    def hold_out(self) -> Path:
        """The file of clip probabilities of the hold-out."""
        return self.path / "holdout.h5"

    def write_hold_out(self, video_id: NDArray[np.character], probability: NDArray[np.float32]) -> None:
        """Write holdout.h5, see `runs.predictions`."""
        write_predictions(self.hold_out, video_id, probability)

    def read_hold_out(self) -> tuple[NDArray[np.character], NDArray[np.float32]]:
        """Read holdout.h5, see `runs.predictions`."""
        return read_predictions(self.hold_out)

    def write_per_class(
        self,
        names: Sequence[str],
        positives: Sequence[int],
        columns: Mapping[str, Sequence[float]],
        training_clips: Sequence[int] | None = None,
    ) -> None:
        """Write per_class.csv, see `runs.per_class`."""
        write_per_class(self.path / "per_class.csv", names, positives, columns, training_clips)

    def read_per_class(self) -> ClassScores:
        """Read per_class.csv, see `runs.per_class`."""
        return read_per_class(self.path / "per_class.csv")

    def write_localisation(
        self, names: Sequence[str], columns: Mapping[str, NDArray[np.float64]], pairs: PairScores
    ) -> None:
        """Write localisation.csv and localisation.h5, see `runs.localisation`."""
        write_localisation(self.path, names, columns, pairs)

    def read_localisation(self) -> PairScores:
        """Read localisation.h5, see `runs.localisation`."""
        return read_localisation(self.path)

    def note_tracked(self, tracker: str, known: Mapping[str, Any]) -> None:
        """Record the id of the run in a tracker, and where the tracker keeps it."""
        write_json(self._tracking, {**read_json(self._tracking), tracker: dict(known)})

    def tracked(self, tracker: str) -> dict[str, Any]:
        """Return what was recorded of a tracker; an empty mapping if it has not tracked this run.

        A damaged file counts as empty, since a tracker can start again.
        """
        found = read_json(self._tracking).get(tracker, {})
        return found if isinstance(found, dict) else {}

    def unsent(self) -> list[Path]:
        """Return the folders of offline W&B runs that `wandb sync` has not sent yet, oldest first."""
        folder = self.path / "wandb"
        pattern = "offline-run-*"
        if elsewhere := self.tracked("wandb").get("folder"):  # the user chose a folder that runs share
            folder = Path(str(elsewhere)) / "wandb"
            pattern += f"-{glob.escape(str(self.tracked('wandb').get('id')))}"
        starts = sorted(folder.glob(pattern))
        return [start for start in starts if any(start.glob("*.wandb")) and not any(start.glob("*.wandb.synced"))]

    def write_metrics(self, content: Mapping[str, Any]) -> None:
        """Write metrics.json, which makes the run complete."""
        write_json(self.path / "metrics.json", content)

    def curve(self, name: str) -> dict[int, float]:
        """Return a logged number, such as `val/mAP`, by training step, in ascending order of the steps.

        If an interrupted run repeated steps, the later start counts.
        """
        points: dict[int, float] = {}
        starts = (self.path / "csv").glob("version_*/metrics.csv")
        for path in sorted(starts, key=lambda p: (len(p.parent.name), p.parent.name)):
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    # The last row that a killed process wrote may be incomplete.
                    with suppress(KeyError, TypeError, ValueError):
                        points[int(float(row["step"]))] = float(row[name])
        return dict(sorted(points.items()))

    @property
    def _tracking(self) -> Path:
        return self.path / "tracking.json"


def best_checkpoint(folder: Path) -> Path:
    """Return the path of the best weights in a folder of checkpoints."""
    return folder / "best.ckpt"


def step_checkpoint(folder: Path, step: int) -> Path:
    """Return the path of the checkpoint after `step` training steps in a folder of checkpoints."""
    return folder / f"step-{step:08d}.ckpt"


def step_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of steps in a folder of checkpoints, newest first."""
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def resolve_checkpoint(path: str | Path) -> Path:
    """Return the checkpoint that a path means: a run's folder stands for the weights that the run's scores belong to.

    Args:
        path: a checkpoint, an export folder (returned unchanged) or a run's folder.

    Raises:
        ValueError: the folder is a run that is not complete or has lost the checkpoint.
    """
    path = Path(path)
    is_run = path.is_dir() and ((path / "checkpoints").is_dir() or (path / "metrics.json").is_file())
    return RunDirectory(path).scored_checkpoint() if is_run else path
