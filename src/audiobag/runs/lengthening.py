"""Longer runs: a configuration whose only change is a larger max_steps continues the shorter run."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from audiobag.runs.configuration import OtherConfigurationError, RunConfig, hashed_config
from audiobag.runs.directory import RESULTS, RunDirectory
from audiobag.utils.configs import flatten
from audiobag.utils.errors import InputError
from audiobag.utils.files import whole_folder

_LOG = logging.getLogger(__name__)
_STEPS: Final = "trainer.max_steps"
_PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Longer:
    """A larger max_steps as the only change of a configuration, besides keys that follow it.

    Attributes:
        before: steps of the shorter run.
        follows: keys with the value of max_steps, such as those of a schedule, with which a run cannot be lengthened.
    """

    before: int
    follows: tuple[str, ...]


def longer(run: RunDirectory, config: Mapping[str, Any]) -> Longer | None:
    """Return how a configuration lengthens a run; None if it changes something else, or nothing.

    Raises:
        ValueError: the run cannot be read.
    """
    old, new = (flatten(hashed_config(one)) for one in (run.config().config, config))
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    before, now = old.get(_STEPS), new.get(_STEPS)
    if _STEPS not in changed or not (isinstance(before, int) and isinstance(now, int) and before < now):
        return None
    follows = {key for key in changed - {_STEPS} if (old.get(key), new.get(key)) == (before, now)}
    return Longer(before, tuple(sorted(follows))) if changed == {_STEPS, *follows} else None


def ended_at(run: RunDirectory, steps: int) -> bool:
    """Return whether a run is complete, was trained for `steps` steps and has the checkpoint of the last one."""
    trained = (run.metrics() or {}).get("train", {}).get("steps")
    return bool(trained == steps and run.step_checkpoint(steps).is_file())


def can_lengthen(run: RunDirectory, config: Mapping[str, Any]) -> bool:
    """Return whether a run can continue in its own folder with a larger max_steps.

    Raises:
        OtherConfigurationError: a larger max_steps changes its schedule too.
    """
    if not (run.begun and (run.path / "config.json").is_file()):
        return False
    found = longer(run, config)
    if found is None or not (run.metrics() is None or ended_at(run, found.before)):
        return False
    if found.follows:
        raise OtherConfigurationError(
            f"{run.path} holds a run of {found.before} steps, which cannot be lengthened:"
            f" {', '.join(found.follows)} follows {_STEPS}, so each of its steps would be another"
        )
    return True


def lengthen_here(run: RunDirectory, config: RunConfig, *, first: bool = True) -> None:
    """Make a run, on which no other process works, the beginning of a longer one, if its configuration allows it.

    The results of a complete run are kept in `before/step-XXXXXXXX`, which is a run directory of its own.
    Of several ranks, the first lengthens while the others wait.

    Raises:
        OtherConfigurationError: a larger max_steps changes its schedule too.
    """
    if not can_lengthen(run, config.config):
        return
    if not first:
        _wait_for_first(run, config)
        return
    earlier = run.config()
    steps = int(earlier.config["trainer"]["max_steps"])
    if run.metrics() is not None:
        kept = run.path / "before" / f"step-{steps:08d}"
        if not kept.exists():
            _keep(run, steps, kept)
        _LOG.info("lengthening the run of %d steps; its results are kept in %s", steps, kept)
        (run.path / "metrics.json").unlink()
    replace(config, threads=earlier.threads).write(run.path / "config.json")


def _keep(run: RunDirectory, steps: int, folder: Path) -> None:
    """Copy what a complete run consists of; files of a run are replaced and never changed, so links are copies."""
    names = [
        "config.json",
        *RESULTS,
        *(f"checkpoints/{p.name}" for p in (run.step_checkpoint(steps), run.best_checkpoint)),
    ]
    with whole_folder(folder) as temporary:
        (temporary / "checkpoints").mkdir()
        for name in [*names, "metrics.json"]:
            if (run.path / name).is_file():
                try:
                    os.link(run.path / name, temporary / name)
                except OSError:  # a file system without hard links
                    shutil.copyfile(run.path / name, temporary / name)


def _wait_for_first(run: RunDirectory, config: RunConfig) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while run.config().hash != config.hash:
        if time.monotonic() > deadline:
            raise InputError(f"{run.path} was not lengthened by the first rank within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)
