"""The jobs of a sweep, from the overrides that a sweeper hands to a launcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict, read_write

from audiobag.runs import RunConfig
from audiobag.sweep.child import SWEEP
from audiobag.sweep.handover import HandedOver, hydra_part
from audiobag.sweep.jobs import Job
from audiobag.sweep.naming import is_search, trial_name
from audiobag.utils.errors import InputError
from audiobag.utils.processes import environment


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweeper hands to a launcher.

    Attributes:
        loader: composes the configurations of the jobs.
        master: configuration of the sweep.
        job_overrides: overrides of each job.
        first: number of the first of these jobs in the sweep.
        record: resolves the composed configuration of a job; raises if it cannot be used.
    """

    loader: ConfigLoader
    master: DictConfig
    job_overrides: Sequence[Sequence[str]]
    first: int
    record: Callable[[DictConfig], RunConfig]

    @property
    def folder(self) -> Path:
        """The folder of the sweep, which holds those of its jobs."""
        return Path(self.master.hydra.sweep.dir).resolve()

    @property
    def search(self) -> bool:
        """Whether further jobs depend on the results of these."""
        return is_search(self.master.hydra)


def compose_jobs(sweep: Sweep) -> list[Job]:
    """Return the jobs of a sweep with their resolved configurations.

    Raises:
        ValueError: there is no job, or one cannot be composed.
    """
    if not sweep.job_overrides:
        raise InputError("the sweep has no job: give each swept key at least one value")
    folder = sweep.folder
    jobs = []
    with environment({SWEEP: folder.name}):
        for number, overrides in enumerate(sweep.job_overrides, sweep.first):
            config = sweep.loader.load_sweep_config(sweep.master, list(overrides))
            with open_dict(config):
                # The name of a folder must not depend on the number that a cluster gives to the job.
                config.hydra.job.id, config.hydra.job.num = str(number), number
            HydraConfig.instance().set_config(config)
            name = str(config.hydra.sweep.subdir)
            if sweep.search and not (folder / name).exists():  # as audiobag 0.1 named it
                name = trial_name(config.hydra.job.override_dirname)
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.runtime.output_dir = str(folder / name)
            HydraConfig.instance().set_config(config)
            part = hydra_part(config.hydra, folder / name)
            with open_dict(config):
                del config["hydra"]
            jobs.append(Job(name, folder / name, HandedOver(sweep.record(config), part)))
    return jobs


def unique(jobs: Sequence[Job], *, repeats: bool) -> list[Job]:
    """Return the jobs, each once; where `repeats`, the same job may be there twice, as a search may propose it.

    Raises:
        ValueError: two jobs would run in the same folder.
    """
    found: dict[str, Job] = {}
    for job in jobs:
        same = repeats and job.name in found and found[job.name].handed.record.hash == job.handed.record.hash
        if job.name in found and not same:
            raise InputError(f"two jobs of this sweep have the same name, {job.name}: give each value once")
        found.setdefault(job.name, job)
    return list(found.values())


def returned(job: Job) -> JobReturn:
    """Return what a launcher returns of a job: its val/mAP, as far as it is known."""
    result = JobReturn(
        overrides=list(job.handed.record.overrides), status=JobStatus.COMPLETED, working_dir=str(job.folder)
    )
    result.return_value = job.value()
    return result
