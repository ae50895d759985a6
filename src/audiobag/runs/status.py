"""The state of runs, from their folders alone: on a shared disk it can be told from any machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from audiobag.runs.directory import RunDirectory
from audiobag.runs.finding import JOB, real_run_folders
from audiobag.runs.presence import NUMBERS, Stage, stage_of
from audiobag.utils.errors import InputError
from audiobag.utils.files import read_json

_LOGS: Final = ("job.log", "train.log")
_TAIL_BYTES: Final = 16_384
SUBMITTED: Final = "submitted.json"
"""The file that says as which SLURM job a job of a sweep was submitted."""


class RunState(Enum):
    """State of a run."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What the folder of a run tells.

    Attributes:
        path: its folder.
        state: its state; a run whose process was killed counts as failed.
        doing: what its process does (starting, training or scoring); None if it has none.
        where: host, pid and slurm_job of its process, as far as known; of a waiting run, the SLURM job it was submitted
            as.
        numbers: step, max_steps, steps_per_second, seconds_left, loss and val_mAP, as far as known.
        scores: mAP of the hold-out (val) and of the eval set (test) of a complete run.
        log: last lines of the log of a failed run.
    """

    path: Path
    state: RunState
    doing: str | None
    where: dict[str, Any]
    numbers: dict[str, float]
    scores: dict[str, float]
    log: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain containers, for JSON."""
        return {**asdict(self), "path": str(self.path), "state": self.state.value}


def statuses(folders: Iterable[Path], lines: int = 5) -> list[RunStatus]:
    """Return the state of each run at and below some folders, each once, sorted by path.

    A failed run has the last `lines` of its log. A folder in which a command was refused before a run began is left
    out.

    Raises:
        ValueError: a folder does not exist.
    """
    found = [status(path, lines) for path in real_run_folders(folders, waiting=True)]
    return [one for one in found if one.state is not RunState.WAITING or (one.path / JOB).exists()]


def status(folder: Path, lines: int = 5) -> RunStatus:
    """Return the state of the run in a folder; see `statuses`."""
    run = RunDirectory(folder)
    stage, told = stage_of(folder)
    try:
        metrics = run.metrics()
    except InputError as error:
        return RunStatus(folder, RunState.FAILED, None, {}, {}, {}, [str(error)])
    if metrics is not None:
        found = {key: (metrics.get(key) or {}).get("mAP") for key in ("val", "test", "test_averaged")}
        scores = {key: float(value) for key, value in found.items() if value is not None}
        return RunStatus(folder, RunState.DONE, None, {}, {}, scores, [])
    state = _state(stage, bool(told) or any((folder / name).exists() for name in ("config.json", "run.json")))
    if state in (RunState.FAILED, RunState.INTERRUPTED) and _time(folder / SUBMITTED) > _time(run.progress):
        state, told = RunState.WAITING, {}  # it was submitted again
    where = {key: told[key] for key in ("host", "pid", "slurm_job") if told.get(key) is not None}
    if state is RunState.WAITING and (number := slurm_number(folder)) is not None:
        where = {"slurm_job": number}
    numbers = {key: told[key] for key in NUMBERS if isinstance(told.get(key), int | float)}
    doing = stage.value if stage is not None and stage.working else None
    log = _failure(folder, stage, told, lines) if state is RunState.FAILED else []
    return RunStatus(folder, state, doing, where, numbers, {}, log)


def slurm_number(folder: Path) -> str | None:
    """Return the number that SLURM gave to a job of a sweep, such as `7_2`; None if it was not submitted."""
    number = read_json(folder / SUBMITTED).get("slurm_job")
    return number if isinstance(number, str) else None


def last_lines(folder: Path, count: int = 10) -> list[str]:
    """Return the last lines of the log of a run."""
    for name in _LOGS:
        try:
            with (folder / name).open("rb") as log:
                log.seek(max(0, log.seek(0, 2) - _TAIL_BYTES))
                if lines := log.read().decode(errors="replace").splitlines()[-count:]:
                    return lines
        except OSError:
            continue
    return []


def _failure(folder: Path, stage: Stage | None, told: Mapping[str, Any], lines: int) -> list[str]:
    """Return the last lines of the log, and why the run failed where the log does not say it."""
    log = last_lines(folder, lines)
    reason = str(told.get("error", "")) if stage is not None else "(its process ended without saying why)"
    said = " ".join(log)
    return log if reason.partition(": ")[2] in said and ": " in reason else [*log, *([reason] if reason else [])]


def _time(path: Path) -> float:
    """Return when a file was written; 0 if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _state(stage: Stage | None, begun: bool) -> RunState:
    if stage is None:
        return RunState.FAILED if begun else RunState.WAITING
    if stage.working:
        return RunState.RUNNING
    return RunState.INTERRUPTED if stage is Stage.INTERRUPTED else RunState.FAILED
