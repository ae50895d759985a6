"""Hydra plugins of audiobag: the `pool` launcher, what other launchers need, the search path for own configurations.

Hydra finds plugins only in this namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

if TYPE_CHECKING:
    from audiobag.sweep.composing import Sweep


class _OwnLauncher(Launcher):
    """Calls the function `launch` of a module, which is imported only where there is a sweep.

    The processes of the jobs run the task.

    Args:
        options: of the function.
    """

    module: str

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the function needs."""
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs that are not complete."""
        from audiobag.cli.keys import check_accepted

        function = import_module(self.module).launch
        check_accepted("hydra.launcher", self.options, function)
        returned: Sequence[JobReturn] = function(_sweep(self, job_overrides, initial_job_idx), **self.options)
        return returned


class PoolLauncher(_OwnLauncher):
    """Runs each job of a sweep as a process of its own, as many at once as this machine has slots for.

    Args:
        options: jobs, devices_per_job, fail_fast and dry_run of `audiobag.sweep.launch.launch`.
    """

    module = "audiobag.sweep.launch"


class SlurmLauncher(_OwnLauncher):
    """Submits the jobs of a sweep as the tasks of a SLURM array.

    Args:
        options: wait, dry_run and the resources of `audiobag.sweep.slurm.launch`.
    """

    module = "audiobag.sweep.slurm"


class HandOverLauncher(Launcher):
    """Composes each job of a sweep and writes its file, then starts the jobs with another launcher.

    Args:
        launcher: configuration of the other launcher.
    """

    def __init__(self, launcher: DictConfig) -> None:
        self.other = launcher
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the other launcher, as if it had been configured in place of this one."""
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.launcher = self.other
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Write the files and start the jobs."""
        from audiobag.sweep.launch import hand_over

        assert self.launcher is not None
        overrides = hand_over(_sweep(self, job_overrides, initial_job_idx))
        once = list(dict.fromkeys(map(tuple, overrides)))  # a search may propose the same job twice
        done = dict(zip(once, self.launcher.launch(once, initial_job_idx), strict=True))
        return [done[tuple(one)] for one in overrides]


def _sweep(launcher: _OwnLauncher | HandOverLauncher, job_overrides: Sequence[Sequence[str]], first: int) -> Sweep:
    from audiobag.cli.options import train_record
    from audiobag.sweep.composing import Sweep

    assert launcher.hydra_context is not None
    assert launcher.config is not None
    return Sweep(launcher.hydra_context.config_loader, launcher.config, job_overrides, first, train_record)


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
