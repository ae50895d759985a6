"""The jobs of a sweep as tasks of a SLURM array: submit what is missing, and wait for it or leave.

Each job has `submitted.json` in its folder, with the number that SLURM gave it. The queue and the folders decide what
is missing, so a command can be given again at any time, from any machine that shares the disk.
"""

from __future__ import annotations

import getpass
import logging
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf
from rich.console import Console

from audiobag.runs.presence import Stage, record_failure, stage_of
from audiobag.runs.status import SUBMITTED, slurm_number
from audiobag.sweep import outcome
from audiobag.sweep.composing import Sweep, compose_jobs, returned, unique
from audiobag.sweep.display import Display
from audiobag.sweep.jobs import Job, State, only_copy
from audiobag.sweep.launch import prepare, run_handed, show_plan
from audiobag.training.interruption import begin, noted
from audiobag.utils.errors import ExitCode, InputError
from audiobag.utils.files import check_writable, shown_path, write_json

_LOG = logging.getLogger(__name__)
_POLL_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 60  # in which SLURM must answer
_GONE: Final = 3  # looks at the queue in which a job without a result is absent, before it counts as failed
_BLIND_SECONDS: Final = 600  # for which a sweep that waits does without answers
# Options that submitit knows on every kind of cluster; the names of the others begin with slurm_ there.
_COMMON: Final = {
    "timeout_min",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "mem_gb",
    "nodes",
    "name",
    "stderr_to_stdout",
}
_WAITING_STATES: Final = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"}


def launch(
    sweep: Sweep,
    *,
    wait: bool,
    dry_run: bool,
    submitit_folder: str,
    **resources: Any,
) -> list[JobReturn]:
    """Submit the jobs that are neither complete nor in the queue; return the val/mAP of each job that is complete.

    Args:
        sweep: what the sweeper hands over.
        wait: whether to wait for the jobs, those of earlier commands included.
        dry_run: show what would be submitted, and submit nothing.
        submitit_folder: folder for the scripts and the output of the tasks.
        **resources: of each job, by submitit's names.

    Raises:
        ValueError: a job cannot be composed, its folder holds another configuration, SLURM does not answer or refuses
            the jobs, or a search does not wait.
        SystemExit: 75 after an interruption; the jobs stay in the queue.
    """
    begin()
    if sweep.search and not wait:
        raise InputError(
            "hydra.launcher.wait must be true for a search, whose next trials depend on the results of the others"
        )
    folder = sweep.folder
    composed = compose_jobs(sweep)
    todo = unique(composed, repeats=sweep.search)
    with only_copy(folder):
        _look(todo)
        display = Display(todo, Console(stderr=True))
        if dry_run:
            return show_plan(display, composed, folder, search=sweep.search)
        missing = [job for job in todo if job.state is State.WAITING]
        if missing:
            check_writable(Path(submitit_folder), "submitit_folder")
            prepare(folder, missing)
            for job in missing:
                job.handed.write(job.folder)
            numbers = _submit(missing, submitit_folder, resources)
            for job, number in zip(missing, numbers, strict=True):
                write_json(job.folder / SUBMITTED, {"slurm_job": number})
                job.state = State.QUEUED
        _say(_told(folder, todo, missing, wait))
        if wait:
            _wait(display)
    outcome.failed.extend(job.name for job in todo if job.state in (State.FAILED, State.INTERRUPTED))
    return [returned(job) for job in composed]


def run_task(folder: str, expected: str, sweep: str) -> float | None:
    """Run one job, in the process of a SLURM task; see `launch.run_handed`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    return run_handed(Path(folder), expected, sweep)


def queued() -> dict[str, str]:
    """Return the state of each of this user's jobs in SLURM's queue, the tasks of arrays one by one, such as `7_2`.

    Raises:
        ValueError: there is no SLURM, or it does not answer.
    """
    command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i|%T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True)
    except FileNotFoundError:
        raise InputError(
            "hydra/launcher=slurm_... needs SLURM, and there is no squeue here: use a login node of the cluster, or"
            " hydra/launcher=pool for the jobs to run on this machine"
        ) from None
    except (subprocess.SubprocessError, OSError) as error:
        reason = " ".join((getattr(error, "stderr", "") or str(error)).split())
        raise InputError(f"SLURM does not answer ({reason}): give the command again when it does") from error
    lines = (line.strip().partition("|") for line in done.stdout.splitlines())
    return {number: state for number, _, state in lines}


def _look(jobs: Sequence[Job]) -> None:
    """Set the states of jobs: done before, in the queue, running, or waiting to be submitted."""
    for job in jobs:
        job.look()
    waiting = [job for job in jobs if job.state is State.WAITING]
    queue = queued() if waiting else {}
    for job in waiting:
        number, (stage, told) = slurm_number(job.folder), stage_of(job.folder)
        if (state := queue.get(number or "")) is not None:
            job.state = State.QUEUED if state in _WAITING_STATES else State.RUNNING
        elif stage is not None and stage.working and not (number and told.get("slurm_job")):  # started by other means
            job.state = State.RUNNING


def _submit(jobs: Sequence[Job], folder: str, resources: Mapping[str, Any]) -> list[str]:
    """Submit jobs as one array; return their numbers."""
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "hydra/launcher=slurm_... needs the package submitit, which is not installed: pip install 'audiobag[slurm]'"
        ) from error
    code = jobs[0].handed.code
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=0)
    given = {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in resources.items()
        if value is not None
    }
    # No empty entry, which would be the working directory.
    path = f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}"
    given["setup"] = [*(given.get("setup") or ()), path]
    try:
        executor.update_parameters(**{k if k in _COMMON else f"slurm_{k}": v for k, v in given.items()})
        arguments = [(str(job.folder), job.handed.record.hash, job.sweep) for job in jobs]
        submitted = executor.map_array(run_task, *zip(*arguments, strict=True))
    except (submitit.core.utils.FailedJobError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"SLURM has refused the jobs ({reason}): change hydra.launcher.* and try again") from error
    return [str(one.job_id) for one in submitted]


def _told(folder: Path, jobs: Sequence[Job], submitted: Sequence[Job], wait: bool) -> list[str]:
    """Return what was submitted, what was there before, and the commands that come next."""
    counts = {
        "done before": sum(job.state is State.SKIPPED for job in jobs),
        "in the queue before": sum(job.state is State.QUEUED for job in jobs) - len(submitted),
        "running": sum(job.state is State.RUNNING for job in jobs),
    }
    parts = [f"{len(submitted)} submitted", *(f"{n} {what}" for what, n in counts.items() if n)]
    lines = [f"{len(jobs)} jobs: {', '.join(parts)}"]
    lines += [f"  {slurm_number(job.folder)}  {job.name}" for job in submitted]
    if counts["done before"] < len(jobs):
        name = shlex.quote(shown_path(folder))
        lines.append(f"Status:   audiobag-status {name}")
        if not wait:
            # Where a job is complete, the answer of the sweep ends with this line.
            lines += [] if counts["done before"] else [f"Report:   audiobag-report {name}"]
            lines.append("Give the same command again later: it shows what is done, and submits what is missing.")
    return lines


def _wait(display: Display) -> None:
    """Wait until no job is in the queue any more, and set their states.

    Raises:
        SystemExit: 75 after an interruption.
    """
    jobs = [job for job in display.jobs if job.state in (State.QUEUED, State.RUNNING)]
    heard = time.monotonic()
    gone: Counter[str] = Counter()
    with noted((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), twice=True) as interrupted, display.live():
        while jobs and not interrupted:
            try:
                queue = queued()
            except InputError:  # SLURM restarts
                if time.monotonic() - heard > _BLIND_SECONDS:
                    raise
            else:
                heard = time.monotonic()
                for job in jobs:
                    state = queue.get(slurm_number(job.folder) or "")
                    gone[job.name] = 0 if state else gone[job.name] + 1
                    _follow(job, state, sure=gone[job.name] >= _GONE)
                jobs = [job for job in jobs if job.state in (State.QUEUED, State.RUNNING)]
            display.update()
            if jobs:
                time.sleep(_POLL_SECONDS)
    if interrupted:
        _say(["audiobag: interrupted; the jobs stay in the queue, and the same command waits for them again"])
        raise SystemExit(ExitCode.INTERRUPTED)
    display.summary()


def _follow(job: Job, state: str | None, *, sure: bool) -> None:
    """Set the state of a job.

    Args:
        job: in the queue or running.
        state: of its task in the queue; None if it is not there.
        sure: whether a job without a result has failed; another machine's files can take a while to be seen.
    """
    next(job.folder.iterdir(), None)  # asks the server of a network file system anew
    stage, _ = stage_of(job.folder)
    if state is not None:
        job.state = State.QUEUED if state in _WAITING_STATES else State.RUNNING
        if job.state is State.RUNNING and job.started is None:
            job.started = time.monotonic()
    elif job.run.metrics() is not None:
        job.state, job.ended = State.DONE, time.monotonic()
    elif slurm_number(job.folder) is None and stage is not None and stage.working:  # started by other means
        job.state = State.RUNNING
    elif sure and stage is Stage.INTERRUPTED:
        job.state = State.INTERRUPTED
    elif sure:
        job.state = State.FAILED
        record_failure(job.folder)


def _say(lines: Sequence[str]) -> None:
    sys.stderr.write("\n".join(lines) + "\n")
