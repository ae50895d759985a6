"""audiobag-train: train and score one run, or with -m a sweep of them."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from audiobag import interruption
from audiobag.cli.imports import without_signal_processing
from audiobag.cluster import is_first
from audiobag.errors import UserError
from audiobag.files import locked

_LOG = logging.getLogger(__name__)


def main() -> None:
    """Run the command: first take over the signals, then import Hydra, which takes half a second."""
    interruption.install()
    from audiobag.cli.command import command

    command("train", _train)()


def _train(config: dict[str, Any]) -> float | None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from audiobag.cli.command import choices, run_directory

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return _run_as_process()
    if preset := choices().get("sweep"):
        raise UserError(f"sweep={preset} is a sweep of several runs: give -m too")
    from audiobag.cli.tables import show_scores
    from audiobag.runs import RunDirectory, config_hash

    run = RunDirectory(Path(run_directory()))
    record = run.finished(config_hash(config))
    if record is None:
        with _alone(run.path):
            # Torch and Lightning take seconds to import: only once there is something to train.
            with without_signal_processing():
                from audiobag.experiment import train

            record = train(config, run, choices())
    else:
        _LOG.info("complete already, so there was nothing to do")
    show_scores(record, run.path)
    value = record.get("val", {}).get("mAP")
    return None if value is None else float(value)


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other runs out of the run directory; the first rank does, for all of them."""
    if not is_first():
        return nullcontext()
    return locked(folder / ".lock", f"another audiobag-train is at work in {folder}: let it end, or stop it")


def _run_as_process() -> float | None:
    """Run this job of another launcher's sweep as `pool` would: as a single run, in a process of its own.

    Whatever process that run starts for another rank then runs it again, and not the launcher's own command.
    """
    from hydra.core.hydra_config import HydraConfig

    from audiobag.cli.command import run_directory
    from audiobag.sweep.launch import run_one

    return run_one(HydraConfig.get(), Path(run_directory()))


if __name__ == "__main__":
    main()
