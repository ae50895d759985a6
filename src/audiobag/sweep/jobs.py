"""A sweep's jobs: what each is, and how far it has come."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from audiobag.runs import RunDirectory


class State(Enum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "done before"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass
class Job:
    """One combination of a sweep.

    Attributes:
        name: its folder's name.
        overrides: what its command gets.
        folder: its run directory.
        config_hash: of its configuration.
        state: where it stands.
        exit_code: of its process, once that has ended.
    """

    name: str
    overrides: tuple[str, ...]
    folder: Path
    config_hash: str
    state: State = State.WAITING
    exit_code: int | None = None

    @property
    def run(self) -> RunDirectory:
        """Its run directory."""
        return RunDirectory(self.folder)

    @property
    def sweep(self) -> str:
        """The sweep's name: that of the folder in which its jobs' folders are."""
        return self.folder.parents[len(Path(self.name).parts) - 1].name

    def look(self) -> None:
        """Find out whether it has been done before.

        Raises:
            UserError: another configuration was run, or begun, in its folder.
        """
        if self.run.finished(self.config_hash) is not None:
            self.state = State.SKIPPED
        else:
            self.run.check_begun(self.config_hash)

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return any(self.run.checkpoints.glob("step-*.ckpt"))

    def value(self) -> float | None:
        """Return its val/mAP, which a sweeper may maximise; None where it is not done or has no hold-out."""
        record = self.run.metrics() or {}
        value = record.get("val", {}).get("mAP")
        return None if value is None else float(value)

    def progress(self) -> dict[str, Any]:
        """Return what the job last said of itself; nothing where it has not spoken yet."""
        try:
            said = json.loads(self.run.progress.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}
