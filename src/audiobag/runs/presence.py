"""Whether a process works on a run, and where: progress.json, as the run writes it and anyone reads it.

On many file systems a lock is not seen by other machines, and trying it could keep a run from starting. So a run
records in its own folder where it works, and the age of that file tells whether it still does.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Final

from audiobag.utils.errors import ExitCode, exit_code
from audiobag.utils.files import read_json, write_json
from audiobag.utils.processes import is_alive

NAME: Final = "progress.json"
SILENT_SECONDS: Final = 180.0
"""Age of the file of a process on another machine from which it counts as gone."""


NUMBERS: Final = ("step", "max_steps", "steps_per_second", "seconds_left", "loss", "val_mAP")
"""The numbers that a run records of its progress, as far as they are known."""


class Stage(Enum):
    """What the process of a run does, or how it ended."""

    STARTING = "starting"
    TRAINING = "training"
    SCORING = "scoring"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def working(self) -> bool:
        """Whether a process was at work."""
        return self in (Stage.STARTING, Stage.TRAINING, Stage.SCORING)


def write_presence(path: Path, stage: Stage, error: str | None = None, **numbers: float | None) -> None:
    """Write progress.json: the numbers, the stage, and where this process is.

    Args:
        path: the file.
        stage: what the process does.
        error: why it failed; None if it did not, or if nobody knows.
        **numbers: step, max_steps and what else is known; NaN and infinity are written as null.
    """
    finite = {key: value if value is None or math.isfinite(value) else None for key, value in numbers.items()}
    where = {"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": os.environ.get("SLURM_JOB_ID")}
    write_json(path, {**finite, "stage": stage.value, **where, **({} if error is None else {"error": error})})


@contextmanager
def present(folder: Path) -> Iterator[None]:
    """Record in progress.json whether the work on a run is interrupted or fails.

    The file of an earlier start says within this context that the run is starting.
    """
    path = folder / NAME
    if path.exists():
        _change(path, Stage.STARTING)
    try:
        yield
    except BaseException as error:
        interrupted = exit_code(error) == ExitCode.INTERRUPTED or isinstance(error, KeyboardInterrupt)
        if folder.is_dir():
            reason = None if interrupted else " ".join(f"{type(error).__name__}: {error}".split())
            _change(path, Stage.INTERRUPTED if interrupted else Stage.FAILED, reason)
        raise


def record_failure(folder: Path, code: int | None = None) -> None:
    """Record that the process of a run has failed, since a killed process cannot do so itself.

    Args:
        folder: folder of the run.
        code: exit code of the process, -9 if signal 9 killed it; None if it is unknown.
    """
    path = folder / NAME
    killed = f"(killed by signal {-code})" if code is not None and code < 0 else None
    _change(path, Stage.FAILED, killed or read_json(path).get("error"))


def stage_of(folder: Path) -> tuple[Stage | None, dict[str, Any]]:
    """Return what the process of a run does or how it ended, and progress.json.

    The stage is None if the process ended without recording it, as a killed one does, or if there has been none.
    """
    path = folder / NAME
    content = read_json(path)
    try:
        stage = Stage(content["stage"])
        age = time.time() - path.stat().st_mtime
    except (KeyError, ValueError, OSError):  # none, or one of an earlier version
        return None, content
    if not stage.working:
        return stage, content
    here = content.get("host") == socket.gethostname()
    alive = is_alive(content.get("pid")) if here else age < SILENT_SECONDS
    return stage if alive else None, content


def at_work_elsewhere(folder: Path) -> bool:
    """Return whether another process than this one works on a run."""
    stage, content = stage_of(folder)
    own = (content.get("host"), content.get("pid")) == (socket.gethostname(), os.getpid())
    return stage is not None and stage.working and not own


def _change(path: Path, stage: Stage, error: str | None = None) -> None:
    told = read_json(path)
    numbers = {key: told.get(key) for key in NUMBERS if isinstance(told.get(key), int | float)}
    write_presence(path, stage, error, **numbers)
