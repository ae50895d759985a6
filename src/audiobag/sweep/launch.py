"""Run the jobs of a sweep: all of them for the `pool` launcher, one of them for any other launcher."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict
from rich.console import Console

from audiobag.sweep import outcome
from audiobag.sweep.child import SWEEP, job_command, last_lines, start, stopping
from audiobag.sweep.display import Display
from audiobag.sweep.jobs import Job, State
from audiobag.sweep.pool import run_jobs
from audiobag.sweep.requeue import notice, requeue
from audiobag.sweep.slots import Slot, make_slots, visible_gpus
from audiobag.training.interruption import begin
from audiobag.utils.configs import resolved
from audiobag.utils.errors import ExitCode, InputError, Interrupted
from audiobag.utils.files import locked
from audiobag.utils.processes import available_cores

_LOG = logging.getLogger(__name__)


def launch(
    loader: ConfigLoader,
    master: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    *,
    jobs: int | str,
    devices_per_job: int | None,
    fail_fast: bool,
    dry_run: bool,
    check: Callable[[DictConfig], object] = lambda config: None,
) -> list[JobReturn]:
    """Run the jobs that are not complete and return the val/mAP of each job.

    Args:
        loader: composes the configurations of the jobs.
        master: configuration of the sweep.
        job_overrides: overrides of each job.
        jobs: how many jobs run at once, or "auto".
        devices_per_job: GPUs of one job; None to use trainer.devices of the configuration.
        fail_fast: stop all jobs at the first failure.
        dry_run: show the plan and run nothing.
        check: called with the composed configuration of each job; raises if it cannot be used.

    Raises:
        ValueError: a job cannot be composed, its folder holds another configuration, or the sweep is already running.
        SystemExit: 75 after an interruption, 3 after a failure if `fail_fast`, 0 after a dry run. A sweeper would
            continue with further jobs otherwise.
    """
    begin()
    folder = Path(master.hydra.sweep.dir).resolve()
    todo = [_compose(loader, master, overrides, folder, check) for overrides in job_overrides]
    _check_unique(todo)
    with locked(folder / ".lock", f"another copy of this sweep is running in {folder}: wait for it, or stop it"):
        for job in todo:
            job.look()
        display = Display(todo, Console(stderr=True))
        if dry_run:
            display.plan()
            raise SystemExit(ExitCode.DONE)
        waiting = sum(job.state is State.WAITING for job in todo)
        slots = _slots(todo[0].config, jobs, devices_per_job, waiting)
        _LOG.info("%s: %d jobs to run, %d done before", folder, waiting, len(todo) - waiting)
        try:
            with display.live():
                run_jobs(todo, slots, flags=_flags(master.hydra), fail_fast=fail_fast, watch=display.update)
        except Interrupted:
            display.summary()
            sys.stderr.write("audiobag: interrupted; continue with the same command\n")
            raise SystemExit(ExitCode.INTERRUPTED) from None
        display.summary()
    failed = [job.name for job in todo if job.state in (State.FAILED, State.INTERRUPTED)]
    if failed and fail_fast:
        raise SystemExit(ExitCode.SOME_JOBS_FAILED)
    outcome.failed.extend(failed)
    return [_returned(job) for job in todo]


def run_one(hydra: HydraConf, config: Mapping[str, Any], folder: Path) -> float | None:
    """Run one job for another launcher than `pool` and return its val/mAP.

    The job has a process of its own: Lightning starts the ranks of a run with the command line of the process, which
    must not be that of the sweep.

    Args:
        hydra: Hydra's part of the configuration of the job.
        config: configuration of the job.
        folder: its run directory.

    Raises:
        ValueError: the folder holds a run of another configuration.
        SystemExit: the job failed; carries its exit code.
    """
    outcome.multirun = True
    # If this process is killed, its launcher shows the end of its log, which must name the job.
    _LOG.info("a job in %s", folder)
    job = Job(folder.name, _overrides(hydra.overrides.task, hydra), folder, config)
    job.look()
    if job.state is not State.SKIPPED:
        sweep = Path(hydra.sweep.dir).resolve().name
        process = start(job_command(job.overrides, folder, _flags(hydra)), folder, {SWEEP: sweep})
        with stopping(process), notice() as came:
            code = process.wait()
        if code == ExitCode.INTERRUPTED and came():
            requeue()
        if code:
            _LOG.error("%s failed; the end of its log:\n%s", folder, "\n".join(last_lines(folder)))
            raise SystemExit(code)
    return job.value()


def _compose(
    loader: ConfigLoader,
    master: DictConfig,
    overrides: Sequence[str],
    folder: Path,
    check: Callable[[DictConfig], object],
) -> Job:
    """Return a job with its resolved configuration."""
    config = loader.load_sweep_config(master, list(overrides))
    name = str(config.hydra.sweep.subdir)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(folder / name)
        config.hydra.job.id = config.hydra.job.num = 0
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    check(config)
    return Job(name, _overrides(overrides, master.hydra), folder / name, resolved(config))


def _slots(config: Mapping[str, Any], jobs: int | str, devices_per_job: int | None, waiting: int) -> list[Slot]:
    trainer = config["trainer"]
    if devices_per_job is None:
        devices_per_job = trainer["devices"] if isinstance(trainer["devices"], int) and trainer["devices"] > 0 else 1
    gpus = visible_gpus() if trainer["accelerator"] != "cpu" else []
    return make_slots(jobs, gpus, devices_per_job, available_cores(), waiting, config["threads"])


def _check_unique(jobs: Sequence[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.name in seen:
            raise InputError(f"two jobs of this sweep have the same name, {job.name}: give each value once")
        seen.add(job.name)


def _overrides(task: Sequence[str], hydra: Any) -> tuple[str, ...]:
    """Return the overrides of the command of a job: its own, and those of the sweep that concern Hydra."""
    return (*task, *hydra.overrides.hydra)


def _flags(hydra: Any) -> list[str]:
    """Return the --config-dir of the command of the sweep, for its jobs."""
    sources = [s for s in hydra.runtime.config_sources if s.provider == "command-line"]
    return [flag for source in sources for flag in ("--config-dir", str(source.path))]


def _returned(job: Job) -> JobReturn:
    result = JobReturn(overrides=list(job.overrides), status=JobStatus.COMPLETED, working_dir=str(job.folder))
    result.return_value = job.value()
    return result
