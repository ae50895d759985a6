"""One job of a sweep: it trains the configuration that the sweep has left in its folder, see `sweep.handover`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.streams import survive_closed_streams
from audiobag.training import interruption

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run `python -m audiobag.cli.job FOLDER HASH`. Lightning adds overrides of Hydra's part for the ranks of a job."""
    survive_closed_streams()
    interruption.install()
    from hydra import version
    from hydra.core.utils import JobRuntime, run_job, setup_globals
    from hydra.types import HydraContext
    from omegaconf import OmegaConf

    from audiobag.cli.command import exit_codes
    from audiobag.cli.options import typed
    from audiobag.cli.train import run
    from audiobag.sweep.child import die_with_parent
    from audiobag.sweep.handover import read

    die_with_parent()
    folder, expected, *changes = Path(sys.argv[1]), *sys.argv[2:]
    with exit_codes(OmegaConf.create()):
        version.setbase("1.3")
        setup_globals()
        handed = read(folder, expected)
        config = handed.configuration(*(change for change in changes if not change.startswith("hydra.run.dir=")))

        def task(own: DictConfig) -> float | None:
            with exit_codes(own):
                return run(typed("train", handed.record.config), handed.record, folder)

        JobRuntime.instance().set("name", config.hydra.job.name)
        loader: Any = None  # nothing is composed
        callbacks: Any = _Callbacks(config)
        done = run_job(task, config, "hydra.run.dir", None, HydraContext(loader, callbacks))
        _ = done.return_value  # raises what a callback of the user raised


class _Callbacks:
    """The callbacks of the user in `hydra.callbacks`, as a single run calls them around its work."""

    def __init__(self, config: DictConfig) -> None:
        from hydra.utils import instantiate

        self.callbacks = [instantiate(one) for one in (config.hydra.callbacks or {}).values()]

    def on_job_start(self, **arguments: Any) -> None:
        for one in self.callbacks:
            one.on_job_start(**arguments)

    def on_job_end(self, **arguments: Any) -> None:
        for one in reversed(self.callbacks):
            one.on_job_end(**arguments)


if __name__ == "__main__":
    main()
