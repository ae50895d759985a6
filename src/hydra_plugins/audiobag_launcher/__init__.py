"""Hydra plugins of audiobag: the `pool` launcher, and the search path for the user's own configurations.

Hydra finds plugins only in this namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PoolLauncher(Launcher):
    """Runs each job of a sweep as a process of its own, as many at once as this machine has slots for.

    Args:
        options: jobs, devices_per_job, fail_fast and dry_run of `audiobag.sweep.launch.launch`.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `launch` needs; the processes of the jobs run the task."""
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs that are not complete."""
        # Every command imports this module, also those that run no sweep.
        from audiobag.cli.options import options_of
        from audiobag.sweep.launch import launch

        assert self.hydra_context is not None
        assert self.config is not None
        return launch(
            self.hydra_context.config_loader,
            self.config,
            job_overrides,
            **self.options,
            check=partial(options_of, "train"),
        )


class WorkingDirectorySearchPath(SearchPathPlugin):
    """Adds the folder `conf/` of the working directory to the search path of audiobag's commands.

    A user's own pooling, experiment or data set needs one YAML file there and no command-line option. Files of the
    package come first. Other Hydra applications in the same environment are not affected.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder where it exists."""
        own = any(element.path == "pkg://audiobag.conf" for element in search_path.get_path())
        folder = Path.cwd() / "conf"
        if own and folder.is_dir():
            search_path.append("working directory", f"file://{folder}")
