"""The jobs of a sweep and their progress."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from audiobag.runs.directory import RunDirectory
from audiobag.sweep.handover import HandedOver
from audiobag.utils.files import locked, read_json


def only_copy(folder: Path) -> AbstractContextManager[None]:
    """Return a context in which no other command works on a sweep.

    Raises:
        ValueError: on entry, if another command does.
    """
    return locked(folder / ".lock", f"another copy of this sweep is running in {folder}: wait for it, or stop it")


class State(Enum):
    """State of a job."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "done before"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass
class Job:
    """One combination of a sweep.

    Attributes:
        name: path of its folder, relative to the folder of the sweep.
        folder: its run directory.
        handed: its configuration.
        state: its state.
        exit_code: exit code of its process; None until the process has ended.
        started: time at which its process started, by `time.monotonic`.
        ended: time at which its process ended well.
    """

    name: str
    folder: Path
    handed: HandedOver
    state: State = State.WAITING
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def run(self) -> RunDirectory:
        """Its run directory."""
        return RunDirectory(self.folder)

    @property
    def sweep(self) -> str:
        """Name of the sweep: that of the folder that holds the folders of its jobs."""
        return self.folder.parents[len(Path(self.name).parts) - 1].name

    def look(self) -> None:
        """Mark the job as skipped if its run is complete.

        Raises:
            OtherConfigurationError: a run of another configuration was started in its folder.
        """
        self.run.check(self.handed.record.config)
        if self.run.metrics() is not None:
            self.state = State.SKIPPED

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return bool(self.run.resumable())

    def value(self) -> float | None:
        """Return val/mAP, which a sweeper may maximise; None if the run is not complete or has no hold-out."""
        return self._mean_precision("val")

    def eval_value(self) -> float | None:
        """Return the eval mAP; None if the run is not complete."""
        return self._mean_precision("test")

    def _mean_precision(self, scored: str) -> float | None:
        value = (self.run.metrics() or {}).get(scored, {}).get("mAP")
        return None if value is None else float(value)

    def score(self) -> tuple[str, float | None]:
        """Return the name and the value of the score to show: val/mAP, or the eval mAP where there is no hold-out."""
        value = self.value()
        return ("eval mAP", self.eval_value()) if value is None else ("val/mAP", value)

    def progress(self) -> dict[str, Any]:
        """Return the content of progress.json; empty if the job has not written it yet."""
        return read_json(self.run.progress)
