"""audiobag-train: train and score one run, or with -m a sweep of them."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.training import interruption
from audiobag.training.cluster import is_first
from audiobag.utils.files import locked

if TYPE_CHECKING:
    from audiobag.cli.command import Invocation

_LOG = logging.getLogger(__name__)


def main() -> None:
    """Run the command. Signal handlers are installed before Hydra, which takes half a second to import."""
    interruption.install()
    from audiobag.cli.command import command

    command("train", _train)()


def _train(called: Invocation[Any]) -> float | None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from audiobag.cli.command import run_directory

    hydra = HydraConfig.get()
    out = Path(run_directory())
    if hydra.mode == RunMode.MULTIRUN:
        from audiobag.sweep.launch import run_one

        return run_one(hydra, called.config, out)
    record = run(called, out, [o for o in hydra.overrides.task if not o.startswith("sweep=")])
    value = record.get("val", {}).get("mAP")
    return None if value is None else float(value)


def run(called: Invocation[Any], out: Path, overrides: list[str]) -> dict[str, Any]:
    """Train one run unless it is complete, print its scores and return metrics.json."""
    from audiobag.cli.options import choices
    from audiobag.cli.tables import show_scores
    from audiobag.runs import RunDirectory

    record = RunDirectory(out).finished(called.config)
    if record is None:
        with _exclusive(out):
            # torch and Lightning take seconds to import: only if there is something to train.
            from audiobag.cli.assemble import record_of, train

            record = train(called.options, record_of(called.composed, choices(), overrides), out)
    else:
        _LOG.info("the run is complete: nothing to do")
    show_scores(record, out)
    return record


def _exclusive(folder: Path) -> AbstractContextManager[None]:
    """Keep other runs out of the folder; the first rank does so for all of them."""
    if not is_first():
        return nullcontext()
    return locked(folder / ".lock", f"another audiobag-train is running in {folder}: wait for it, or stop it")


if __name__ == "__main__":
    main()
