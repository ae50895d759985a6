"""audiobag-train: train and score one run, or with -m a sweep of them."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.streams import survive_closed_streams
from audiobag.training import interruption
from audiobag.training.cluster import is_first
from audiobag.utils.files import locked

if TYPE_CHECKING:
    from audiobag.cli.command import Invocation
    from audiobag.cli.schema import TrainOptions
    from audiobag.runs import RunConfig

_LOG = logging.getLogger(__name__)


def main() -> None:
    """Run the command. Signal handlers are installed before Hydra, which takes half a second to import."""
    survive_closed_streams()
    interruption.install()
    from audiobag.cli.command import command

    command("train", _train)()


def _train(called: Invocation[Any]) -> float | None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from audiobag.cli.command import run_directory
    from audiobag.cli.options import record_of, task_overrides

    hydra = HydraConfig.get()
    record = record_of(called.composed, called.config, task_overrides())
    if hydra.mode == RunMode.MULTIRUN:
        from audiobag.sweep.launch import run_one

        return run_one(hydra, record, Path(run_directory()))
    return run(called.options, record, Path(run_directory()))


def run(options: TrainOptions, config: RunConfig, out: Path) -> float | None:
    """Train one run unless it is complete, print its scores and return val/mAP.

    Args:
        options: of the run.
        config: the configuration to record.
        out: folder of the run.
    """
    from audiobag.cli.tables import show_scores
    from audiobag.runs import RunDirectory

    record = RunDirectory(out).finished(config.config)
    if record is None:
        with _exclusive(out):
            # torch and Lightning take seconds to import: only if there is something to train.
            from audiobag.cli.assemble import train

            record = train(options, config, out)
    else:
        _LOG.info("the run is complete: nothing to do")
    show_scores(record, out)
    value = record.get("val", {}).get("mAP")
    return None if value is None else float(value)


def _exclusive(folder: Path) -> AbstractContextManager[None]:
    """Keep other runs out of the folder; the first rank does so for all of them."""
    if not is_first():
        return nullcontext()
    return locked(folder / ".lock", f"another audiobag-train is running in {folder}: wait for it, or stop it")


if __name__ == "__main__":
    main()
