"""audiobag-status: which runs and sweeps wait, run, are done or have failed. It reads their folders and writes nothing.

It composes no configuration, so it has plain options and starts at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audiobag.cli.streams import survive_closed_streams
from audiobag.utils.errors import ExitCode, InputError
from audiobag.utils.files import shown_path

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from audiobag.runs.status import RunStatus

_COLOURS: Final = {"running": "cyan", "done": "green", "failed": "red", "interrupted": "yellow"}
_SCORES: Final = {"val": "val/mAP", "test": "eval mAP"}
_WIDEST: Final = 1000
_EPILOG: Final = """
  audiobag-status                                   everything below outputs/
  audiobag-status outputs/sweeps/table2 --watch     one sweep, again every few seconds; Ctrl-C ends it
  audiobag-status outputs --json                    a list for scripts

A run on another machine counts as failed if its progress.json is older than three minutes.
"""


def main() -> None:
    """Run the command."""
    survive_closed_streams()
    options = _parser().parse_args()
    if options.lines < 0:
        _parser().error(f"argument --lines: must be at least 0, got {options.lines}")
    folders = [Path(folder) for folder in options.folders]
    try:
        if options.json:
            from audiobag.runs.status import statuses

            found = statuses(folders, options.lines)
            sys.stdout.write(json.dumps([one.as_dict() for one in found], indent=2) + "\n")
        elif options.watch:
            _watch(folders, options.lines)
        else:
            from rich.console import Console

            console = Console()
            if not console.is_terminal:  # lines stay whole, for grep
                console = Console(width=_WIDEST)
            console.print(_page(folders, options.lines), soft_wrap=True)  # paths stay whole, to be copied
    except InputError as error:
        sys.stderr.write(f"audiobag: {error}\n")
        raise SystemExit(ExitCode.USER) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audiobag-status",
        description="Show the state of runs and sweeps: waiting, running (where, step, rate, time left), done with"
        " their scores, interrupted, failed with the end of the log.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="*", default=["outputs"], metavar="FOLDER", help="of runs or sweeps, or above")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--watch", action="store_true", help="show it again every few seconds")
    shown.add_argument("--json", action="store_true", help="print a list of runs for scripts")
    parser.add_argument("--lines", type=int, default=5, metavar="N", help="lines of the log of a failed run (5)")
    return parser


def _watch(folders: Sequence[Path], lines: int, seconds: float = 2.0) -> None:
    from rich.live import Live

    try:
        with Live(_page(folders, lines), auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                time.sleep(seconds)
                live.update(_page(folders, lines), refresh=True)
    except KeyboardInterrupt:
        pass


def _page(folders: Sequence[Path], lines: int) -> Group:
    """Return a table for each sweep or other folder of runs, the ends of logs and the counts."""
    from rich.console import Group
    from rich.text import Text

    from audiobag.runs.status import statuses

    found = statuses(folders, lines)
    parts: list[RenderableType] = []
    for parent in dict.fromkeys(run.path.parent for run in found):
        runs = [run for run in found if run.path.parent == parent]
        parts += [Text(f"{shown_path(parent)}: {_counts(runs)}", style="bold"), _table(runs)]
    for run in (run for run in found if run.log):
        parts.append(Text("\n".join([f"{shown_path(run.path)} failed:", *(f"  {line}" for line in run.log)])))
    return Group(*parts, Text(_counts(found) or "no runs"))


def _table(runs: Sequence[RunStatus]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(overflow="fold")  # the names of two jobs may differ at their ends only
    for run in runs:
        state = Text(run.state.value, style=_COLOURS.get(run.state.value, ""))
        table.add_row(Text(run.path.name), state, Text(_details(run)))
    return table


def _counts(runs: Sequence[RunStatus]) -> str:
    counts = Counter(run.state.value for run in runs)
    return ", ".join(f"{n} {state}" for state, n in counts.items())


def _details(run: RunStatus) -> str:
    """Return what is known of a run, such as `step 120/300, 3.4 steps/s, 0:53 left, node7, pid 812, job 1234`."""
    from audiobag.utils.times import duration

    numbers, where = run.numbers, run.where
    parts = [f"{title} {run.scores[key]:.4f}" for key, title in _SCORES.items() if key in run.scores]
    if run.doing in ("starting", "scoring"):
        parts.append(run.doing)
    if "step" in numbers:
        parts.append(f"step {numbers['step']}/{numbers['max_steps']}")
    if run.doing == "training":
        parts += [f"{numbers['steps_per_second']:.3g} steps/s"] if "steps_per_second" in numbers else []
        parts += [f"{duration(numbers['seconds_left'])} left"] if "seconds_left" in numbers else []
        parts += [f"val/mAP {numbers['val_mAP']:.4f}"] if "val_mAP" in numbers else []
    if run.doing:
        parts += [str(where["host"])] if "host" in where else []
        parts += [f"pid {where['pid']}"] if "pid" in where else []
    parts += [f"job {where['slurm_job']}"] if "slurm_job" in where else []
    return ", ".join(parts)


if __name__ == "__main__":
    main()
