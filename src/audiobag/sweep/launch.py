"""What the `pool` launcher does, for Hydra's sweepers, basic and others alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from audiobag.errors import ExitCode, Interrupted, UserError
from audiobag.files import locked
from audiobag.interruption import begin
from audiobag.processes import available_cores
from audiobag.runs import config_hash
from audiobag.sweep import some_failed
from audiobag.sweep.child import SWEEP, job_command, last_lines, start, stopping
from audiobag.sweep.display import Display
from audiobag.sweep.jobs import Job, State
from audiobag.sweep.pool import run_jobs
from audiobag.sweep.requeue import notice, requeue
from audiobag.sweep.slots import make_slots, visible_gpus
from audiobag.values import check_flag

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
) -> list[JobReturn]:
    """Run what is missing of these jobs and return the val/mAP of each.

    Ends the process, by SystemExit, where Hydra would only know an exception: 2 if a folder holds something
    else or another copy of the sweep is running, 3 at the first failure under `fail_fast`, 75 if interrupted.

    Args:
        loader: makes the jobs' configurations.
        master: the sweep's own configuration.
        job_overrides: of each job.
        jobs: how many at once, or "auto".
        devices_per_job: GPUs of one job; None for what the configuration's trainer.devices says.
        fail_fast: stop all at the first failure.
        dry_run: show the plan and run nothing.
    """
    begin()
    console = Console(stderr=True)
    folder = Path(master.hydra.sweep.dir).resolve()
    try:
        check_flag("hydra.launcher.fail_fast", fail_fast)
        check_flag("hydra.launcher.dry_run", dry_run)
        composed = [_compose(loader, master, overrides, folder) for overrides in job_overrides]
        todo = [job for job, _ in composed]
        _refuse_twins(todo)
        with locked(folder / ".lock", f"another copy of this sweep is running in {folder}: let it end, or stop it"):
            for job in todo:
                job.look()
            display = Display(todo, console)
            if dry_run:
                display.plan()
                raise SystemExit(ExitCode.DONE)
            waiting = sum(job.state is State.WAITING for job in todo)
            _LOG.info("%s: %d jobs to run, %d done before", folder, waiting, len(todo) - waiting)
            slots = _slots(composed[0][1], jobs, devices_per_job, waiting)
            with display.live():
                run_jobs(todo, slots, flags=_flags(master.hydra), fail_fast=fail_fast, watch=display.update)
            display.summary()
    except UserError as error:
        console.print(f"audiobag: {error}", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(ExitCode.USER) from None
    except Interrupted:
        display.summary()
        console.print("audiobag: interrupted; the same command continues", highlight=False)
        raise SystemExit(ExitCode.INTERRUPTED) from None
    failed = [job for job in todo if job.state in (State.FAILED, State.INTERRUPTED)]
    if failed and fail_fast:
        raise SystemExit(ExitCode.SOME_JOBS_FAILED)
    some_failed.extend(job.name for job in failed)
    return [_returned(job) for job in todo]


def run_one(hydra: Any, folder: Path) -> float | None:
    """Run one job that another launcher hands us; return its val/mAP.

    Args:
        hydra: the `hydra` part of the job's configuration.
        folder: its run directory.

    Raises:
        SystemExit: with the exit code of the job's process, where that is not 0.
    """
    # All that the other launcher may have to name the job by, if this process is killed.
    _LOG.info("a job in %s", folder)
    overrides = _single_run(hydra.overrides.task, hydra)
    sweep = Path(hydra.sweep.dir).resolve().name
    process = start(job_command(overrides, folder, _flags(hydra)), folder, {SWEEP: sweep})
    with stopping(process), notice() as came:
        code = process.wait()
    if code == ExitCode.INTERRUPTED and came():
        requeue()
    if code:
        _LOG.error("%s failed; the end of its log:\n%s", folder, "\n".join(last_lines(folder)))
        raise SystemExit(code)
    return Job(folder.name, overrides, folder, "").value()


def _compose(
    loader: ConfigLoader, master: DictConfig, overrides: Sequence[str], folder: Path
) -> tuple[Job, dict[str, Any]]:
    """Return a job and its resolved configuration; whatever cannot be composed is refused before any job starts."""
    config = loader.load_sweep_config(master, list(overrides))
    name = str(config.hydra.sweep.subdir)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(folder / name)
        config.hydra.job.id = config.hydra.job.num = 0
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    resolved = {str(k): v for k, v in plain.items()}
    return Job(name, _single_run(overrides, master.hydra), folder / name, config_hash(resolved)), resolved


def _slots(config: dict[str, Any], jobs: int | str, devices_per_job: int | None, waiting: int) -> list[Any]:
    trainer = config["trainer"]
    if devices_per_job is None:
        devices_per_job = trainer["devices"] if isinstance(trainer["devices"], int) and trainer["devices"] > 0 else 1
    gpus = visible_gpus() if trainer["accelerator"] != "cpu" else []
    return make_slots(jobs, gpus, devices_per_job, available_cores(), waiting, config["threads"])


def _refuse_twins(jobs: Sequence[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.name in seen:
            raise UserError(f"two jobs of this sweep are both {job.name}: give each value once")
        seen.add(job.name)


def _single_run(task: Sequence[str], hydra: DictConfig) -> tuple[str, ...]:
    """Return the overrides of a job's own command: without those that make a sweep of it."""
    sweeping = (
        "sweep=",
        "hydra.sweep",
        "hydra.launcher",
        "hydra/launcher",
        "hydra/sweeper",
        "hydra.mode",
        "hydra.run.",
        "hydra.job.config",
    )
    return tuple(o for o in (*task, *hydra.overrides.hydra) if not o.lstrip("+~").startswith(sweeping))


def _flags(hydra: DictConfig) -> list[str]:
    """Return the --config-dir of the sweep's command, for its jobs."""
    sources = [s for s in hydra.runtime.config_sources if s.provider == "command-line"]
    return [flag for source in sources for flag in ("--config-dir", str(source.path))]


def _returned(job: Job) -> JobReturn:
    result = JobReturn(overrides=list(job.overrides), status=JobStatus.COMPLETED, working_dir=str(job.folder))
    result.return_value = job.value()
    return result
