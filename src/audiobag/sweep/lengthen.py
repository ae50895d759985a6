"""Lengthening: a job whose only change is a larger max_steps starts where the shorter run of another sweep ended.

The shorter run stays as it is. Its last checkpoint, its best weights and its curves are copied into the folder of the
job, which then continues as an interrupted run does, and ends with the weights of a run from the beginning.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from audiobag.runs import RunDirectory
from audiobag.runs.lengthening import ended_at, longer
from audiobag.sweep.jobs import Job
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic

_LOG = logging.getLogger(__name__)


def shorter_run(job: Job) -> Path | None:
    """Return the folder of the longest run that a job can continue; None if there is none.

    It is the job of the same name in another sweep beside this one, is complete, and differs in a smaller max_steps
    alone. If whatever else differs follows max_steps, as a schedule does, a message says so.
    """
    if job.begun or job.run.metrics() is not None:
        return None
    found: dict[int, Path] = {}
    sweep = job.folder.parents[len(Path(job.name).parts) - 1]
    for folder in sorted(sweep.parent.iterdir()) if sweep.parent.is_dir() else []:
        run = RunDirectory(folder / job.name)
        try:
            steps = _steps(job, run) if folder != sweep and (run.path / "metrics.json").is_file() else None
        except (InputError, OSError):  # not a run of this version, or one that may not be read
            continue
        if steps is not None:
            found[steps] = run.path
    return found[max(found)] if found else None


def lengthen(job: Job) -> None:
    """Copy the end of the shorter run, if there is one, into the folder of a job."""
    source = shorter_run(job)
    if source is None:
        return
    old, new = RunDirectory(source), job.run
    if (source / "csv").is_dir():
        shutil.copytree(source / "csv", new.path / "csv", dirs_exist_ok=True)
    newest = old.resumable()[0]
    # The checkpoint to continue from is last: with it the job has begun.
    for path in (*([old.best_checkpoint] if old.best_checkpoint.is_file() else []), newest):
        with atomic(new.checkpoints / path.name) as temporary:
            shutil.copyfile(path, temporary)
    _LOG.info("%s continues %s from %s", job.name, source, newest.stem)


def _steps(job: Job, run: RunDirectory) -> int | None:
    """Return the steps of a run that a job can continue; None if it cannot.

    Raises:
        ValueError: the run cannot be read.
    """
    found = longer(run, job.handed.record.config)
    if found is None or not ended_at(run, found.before):
        return None
    if found.follows:
        reason = f"{', '.join(found.follows)} follows trainer.max_steps"
        _LOG.info("%s starts from the beginning, though %s has %d steps: %s", job.name, run.path, found.before, reason)
        return None
    return found.before
