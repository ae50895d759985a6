"""What a sweep found, printed at its end: the systems by eval mAP, or the best trial of a search."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from audiobag.runs.offline import sync_command
from audiobag.sweep.naming import is_search
from audiobag.utils.console import say
from audiobag.utils.errors import InputError
from audiobag.utils.files import shown_path

if TYPE_CHECKING:
    from rich.console import Console

    from audiobag.report.collect import Run


class ShowAnswer(Callback):
    """Hydra callback that prints the results of the complete runs of a sweep when it ends.

    All complete runs in the sweep's folder count, those of earlier commands included.
    """

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print."""
        from rich.console import Console

        from audiobag.report.collect import collect, unsent  # Hydra imports this module for every command

        hydra = config.hydra
        if hydra.launcher.get("dry_run"):
            return
        folder = Path(hydra.sweep.dir)
        try:
            runs, _left_out = collect([folder])
        except InputError:  # no run is complete; the display has said so
            return
        if is_search(hydra):
            show_trial(runs, list(hydra.sweeper.get("params") or {}), Console())
        else:
            show_systems(runs, Console())
        say(f"Report:   audiobag-report {shlex.quote(str(folder))}")
        if starts := unsent([folder]):
            say(f"W&B:      {sync_command(starts)}")


def show_systems(runs: Sequence[Run], console: Console) -> None:
    """Print the systems, best first, and the folder of the best run. Runs that differ in their seed are one system."""
    from rich.table import Table
    from rich.text import Text

    from audiobag.report.statistics import RANGES, estimate
    from audiobag.report.systems import group

    systems, _ = group(runs)
    table = Table("system")
    for column in ("eval mAP", "deviation", "seeds"):
        table.add_column(column, justify="right", no_wrap=True)
    for system in reversed(systems):
        found = estimate(system.values("test", "mAP"), *RANGES["mAP"])
        mean = "-" if found is None else f"{found.mean:.4f}"
        spread = "-" if found is None or found.deviation is None else f"{found.deviation:.4f}"
        table.add_row(Text(system.name), mean, spread, str(len(system.runs)))
    console.print(table)
    best = max(runs, key=_eval)
    say(f"Best run: {shown_path(best.directory.path)} (eval mAP {_eval(best):.4f})", console)


def show_trial(runs: Sequence[Run], parameters: Sequence[str], console: Console) -> None:
    """Print the folder and the parameters of the trial with the highest val/mAP."""
    best = max(runs, key=_hold_out)
    scores = f"val/mAP {_hold_out(best):.4f}, eval mAP {_eval(best):.4f}"
    say(f"Best trial: {shown_path(best.directory.path)} ({scores})", console)
    for override in best.overrides:
        if override.partition("=")[0] in parameters:
            say(f"  {override}", console)


def _eval(run: Run) -> float:
    return float(run.metrics["test"]["mAP"] or 0.0)


def _hold_out(run: Run) -> float:
    return float(run.metrics.get("val", {}).get("mAP") or 0.0)
