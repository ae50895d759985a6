"""audiobag-train: train and score one run, or with -m a sweep of them."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.streams import survive_closed_streams
from audiobag.training import interruption
from audiobag.training.cluster import is_first
from audiobag.utils.files import check_writable, locked
from audiobag.utils.processes import environment

if TYPE_CHECKING:
    from audiobag.cli.command import Invocation
    from audiobag.cli.schema import TrainOptions
    from audiobag.runs import RunConfig

_LOG = logging.getLogger(__name__)
# Hash of the configuration of the run whose ranks this process starts; they take the configuration from config.json.
_RUN = "AUDIOBAG_RUN"


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
    from audiobag.cli.options import record_of, task_overrides, typed

    hydra, out = HydraConfig.get(), Path(run_directory())
    if (recorded := _of_first_rank(out)) is not None:
        return run(typed("train", recorded.config), recorded, out)
    record = record_of(called.composed, called.config, task_overrides())
    if hydra.mode == RunMode.MULTIRUN:
        from audiobag.sweep.launch import run_one

        return run_one(hydra, record, out)
    with environment({_RUN: record.hash}):
        return run(called.options, record, out)


def _of_first_rank(out: Path) -> RunConfig | None:
    """Return the configuration that the process that started this rank has recorded; None if this is no such rank.

    The rank composes its command line again, by which a YAML file or the time may have changed.

    Raises:
        ValueError: another run has started there since.
    """
    from audiobag.runs import RunDirectory
    from audiobag.utils.errors import InputError

    if os.environ.get("LOCAL_RANK", "0") == "0" or _RUN not in os.environ:
        return None
    found = RunDirectory(out).config()
    if found.hash != os.environ[_RUN]:
        raise InputError(f"{out} has a run of another configuration since this one began: choose another folder")
    return found


def run(options: TrainOptions, config: RunConfig, out: Path) -> float | None:
    """Train one run unless it is complete, print its scores and return val/mAP."""
    from audiobag.cli.tables import show_scores

    record = trained(options, config, out)
    show_scores(record, out)
    value = record.get("val", {}).get("mAP")
    return None if value is None else float(value)


def trained(options: TrainOptions, config: RunConfig, out: Path, name: str = "hydra.run.dir") -> dict[str, Any]:
    """Train one run unless it is complete, while no other process does so, and return metrics.json.

    A run of the same configuration with a smaller max_steps is lengthened.

    Args:
        options: of the run.
        config: the same, to be recorded.
        out: folder of the run.
        name: of the option with the folder, for messages.

    Raises:
        ValueError: the run cannot start, or another process trains it.
    """
    from audiobag.runs import RunDirectory
    from audiobag.runs.lengthening import can_lengthen

    directory = RunDirectory(out)
    if not can_lengthen(directory, config.config):
        if is_first():
            directory.check(config.config)  # a refused command leaves progress.json as it is
        if (record := directory.finished(config.config)) is not None:
            _LOG.info("the run is complete: nothing to do")
            return record
    with _exclusive(out, name):
        # torch and Lightning take seconds to import: only if there is something to train.
        from audiobag.cli.assemble import train

        return train(options, config, out)


def _exclusive(folder: Path, name: str) -> AbstractContextManager[None]:
    """Keep other runs out of the folder; the first rank does so for all of them."""
    if not is_first():
        return nullcontext()
    check_writable(folder, name)
    return locked(folder / ".lock", f"another audiobag-train is running in {folder}: wait for it, or stop it")


if __name__ == "__main__":
    main()
