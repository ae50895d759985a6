"""The door through which Hydra finds the `pool` launcher: it accepts no launcher from any other namespace."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PoolLauncher(Launcher):
    """Runs each job of a sweep as a process of its own, as many at once as this machine has slots for.

    Args: see `audiobag.sweep.launch.launch`.
    """

    def __init__(
        self,
        jobs: int | str = "auto",
        devices_per_job: int | None = None,
        fail_fast: bool = False,
        dry_run: bool = False,
    ) -> None:
        self.jobs, self.devices_per_job, self.fail_fast, self.dry_run = jobs, devices_per_job, fail_fast, dry_run
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives; the task itself is run by the jobs' own processes."""
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run what is missing of these jobs."""
        from audiobag.sweep.launch import launch  # not needed to list the plugins

        assert self.hydra_context is not None
        assert self.config is not None
        return launch(
            self.hydra_context.config_loader,
            self.config,
            job_overrides,
            jobs=self.jobs,
            devices_per_job=self.devices_per_job,
            fail_fast=self.fail_fast,
            dry_run=self.dry_run,
        )
