"""Run the jobs of a sweep: all of them for the `pool` launcher, one of them for any other launcher."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hydra.core.utils import JobReturn
from rich.console import Console

from audiobag.runs import RunConfig
from audiobag.runs.presence import record_failure
from audiobag.runs.status import last_lines
from audiobag.sweep import outcome
from audiobag.sweep.child import SWEEP, job_command, start, stopping
from audiobag.sweep.composing import Sweep, compose_jobs, returned, unique
from audiobag.sweep.display import Display
from audiobag.sweep.handover import HandedOver, hydra_part, read
from audiobag.sweep.jobs import Job, State, only_copy
from audiobag.sweep.lengthen import lengthen, shorter_run
from audiobag.sweep.pool import run_jobs
from audiobag.sweep.requeue import notice, requeue
from audiobag.sweep.slots import Slot, make_slots, visible_gpus
from audiobag.sweep.snapshot import take_snapshot
from audiobag.training.interruption import begin
from audiobag.utils.configs import quoted
from audiobag.utils.console import say
from audiobag.utils.errors import ExitCode, Interrupted
from audiobag.utils.processes import available_cores

_LOG = logging.getLogger(__name__)
_EXPECTED: Final = "AUDIOBAG_CONFIG_HASH"  # hash of the configuration that the sweep composed for a job


def launch(
    sweep: Sweep,
    *,
    jobs: int | str,
    devices_per_job: int | None,
    fail_fast: bool,
    dry_run: bool,
) -> list[JobReturn]:
    """Run the jobs that are not complete and return the val/mAP of each job.

    Args:
        sweep: what the sweeper hands over.
        jobs: how many jobs run at once, or "auto".
        devices_per_job: GPUs of one job; None to use trainer.devices of the configuration.
        fail_fast: stop all jobs at the first failure.
        dry_run: show the plan and run nothing.

    Raises:
        ValueError: a job cannot be composed, its folder holds another configuration, or the sweep is already running.
        SystemExit: 75 after an interruption, 3 after a failure if `fail_fast`, 0 after a dry run of a search. A sweeper
            would continue with further jobs otherwise.
    """
    begin()
    folder = sweep.folder
    composed = compose_jobs(sweep)
    todo = unique(composed, repeats=sweep.search)
    with only_copy(folder):
        for job in todo:
            job.look()
        display = Display(todo, Console(stderr=True))
        if dry_run:
            return show_plan(display, composed, folder, search=sweep.search)
        prepare(folder, todo)
        waiting = sum(job.state is State.WAITING for job in todo)
        slots = _slots(todo[0].handed.record.config, jobs, devices_per_job, waiting)
        display.slots = len(slots)
        _LOG.info("%s: %d jobs to run, %d done before", folder, waiting, len(todo) - waiting)
        try:
            with display.live():
                run_jobs(todo, slots, fail_fast=fail_fast, watch=display.update)
        except Interrupted:
            display.summary()
            sys.stderr.write("audiobag: interrupted; continue with the same command\n")
            raise SystemExit(ExitCode.INTERRUPTED) from None
        display.summary()
    failed = [job.name for job in todo if job.state in (State.FAILED, State.INTERRUPTED)]
    if failed and fail_fast:
        raise SystemExit(ExitCode.SOME_JOBS_FAILED)
    outcome.failed.extend(failed)
    return [returned(job) for job in composed]


def show_plan(display: Display, composed: Sequence[Job], folder: Path, *, search: bool) -> list[JobReturn]:
    """Show what would run of the jobs that a sweeper gave, and return what is known of them.

    Raises:
        SystemExit: 0 after the plan of a search, whose sweeper would propose further jobs otherwise.
    """
    say(f"Folder: {folder}", display.console)
    display.plan({job.name: source for job in display.jobs if (source := shorter_run(job)) is not None})
    if search:
        raise SystemExit(ExitCode.DONE)
    return [returned(job) for job in composed]


def hand_over(sweep: Sweep) -> list[list[str]]:
    """Write the file of each job for another launcher than `pool`, and return the overrides to launch the jobs with.

    `run_one`, which may run later and on another machine, finds the file by these overrides. Jobs that a search
    proposes twice have equal overrides.

    Raises:
        ValueError: a job cannot be composed, or its folder holds another configuration.
    """
    found = []
    composed = compose_jobs(sweep)
    unique(composed, repeats=sweep.search)
    for job in composed:
        job.look()
    prepare(sweep.folder, composed)
    for job, overrides in zip(composed, sweep.job_overrides, strict=True):
        job.handed.write(job.folder)
        expected = f"++hydra.job.env_set.{_EXPECTED}={quoted(job.handed.record.hash)}"
        found.append([*overrides, f"hydra.sweep.subdir={quoted(job.name)}", expected])
    return found


def prepare(sweep: Path, jobs: Sequence[Job]) -> None:
    """Freeze the code of the jobs that are to run, and let them continue shorter runs of other sweeps."""
    waiting = [job for job in jobs if job.state is State.WAITING]
    if not waiting:
        return
    code = take_snapshot(sweep, [job.handed.record.config for job in waiting])
    for job in waiting:
        lengthen(job)
        job.handed = replace(job.handed, code=code)


def run_one(hydra: Any, record: RunConfig, folder: Path) -> float | None:
    """Run one job for another launcher than `pool` and return its val/mAP.

    The job has a process of its own: Lightning starts the ranks of a run with the command line of the process, which
    must not be that of the sweep.

    Args:
        hydra: Hydra's part of the configuration of the job.
        record: configuration of the job, which counts where the sweep has not handed over a file.
        folder: its run directory.

    Raises:
        ValueError: the folder holds a run of another configuration.
        SystemExit: the job failed; carries its exit code.
    """
    outcome.multirun = True
    # If this process is killed, its launcher shows the end of its log, which must name the job.
    _LOG.info("a job in %s", folder)
    sweep = Path(hydra.sweep.dir).resolve().name
    if expected := os.environ.get(_EXPECTED):
        return run_handed(folder, expected, sweep)
    handed = HandedOver(record, hydra_part(hydra, folder))
    handed.write(folder)
    return run_handed(folder, handed.record.hash, sweep)


def run_handed(folder: Path, expected: str, sweep: str) -> float | None:
    """Run the job whose job.yaml, of an expected hash, is in a folder, unless it is complete; return its val/mAP.

    Raises:
        ValueError: the folder holds another configuration.
        SystemExit: the job failed; carries its exit code.
    """
    handed = read(folder, expected)
    job = Job(folder.name, folder, handed)
    job.look()
    if job.state is not State.SKIPPED:
        process = start(job_command(folder, expected), folder, {SWEEP: sweep}, handed.code)
        with stopping(process), notice() as came:
            code = process.wait()
        if code == ExitCode.INTERRUPTED and came():
            requeue()
        if code:
            if code != ExitCode.INTERRUPTED:
                record_failure(folder, code)
            _LOG.error("%s failed; the end of its log:\n%s", folder, "\n".join(last_lines(folder)))
            raise SystemExit(code)
    return job.value()


def _slots(config: Mapping[str, Any], jobs: int | str, devices_per_job: int | None, waiting: int) -> list[Slot]:
    trainer = config["trainer"]
    if devices_per_job is None:
        devices_per_job = trainer["devices"] if isinstance(trainer["devices"], int) and trainer["devices"] > 0 else 1
    gpus = visible_gpus() if trainer["accelerator"] not in ("cpu", "mps") else []
    return make_slots(jobs, gpus, devices_per_job, available_cores(), waiting, config["threads"])
