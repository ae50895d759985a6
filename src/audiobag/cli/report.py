"""audiobag-report: tables, pictures and a page of the runs that are complete."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.command import command
from audiobag.cli.folders import name_folders
from audiobag.errors import UserError

if TYPE_CHECKING:
    from audiobag.export import Tagger
    from audiobag.report import Report
    from audiobag.report.dashboard import Dashboard


def main() -> None:
    """Run the command; folders may stand on the command line as they are."""
    sys.argv[1:] = name_folders(sys.argv[1:])
    _main()


def _report(config: dict[str, Any]) -> None:
    from audiobag.report import report
    from audiobag.report.collect import unsent
    from audiobag.values import paths

    wanted = config.pop("dashboard")
    config["runs"] = paths("runs", config["runs"])
    if wanted not in (None, "wandb"):
        raise UserError(f"dashboard={wanted} is not known: take dashboard=wandb, or leave it out")
    _show(report(**config, load=_load))
    if wanted:
        from audiobag.report.dashboard import dashboard

        _show_dashboard(dashboard(config["runs"], config["out"], config["baseline"]))
    if starts := unsent(config["runs"]):
        # Those of one run, which was interrupted and continued, W&B takes in the order of their starts.
        _say(f"Offline W&B runs; to send them: wandb sync {shlex.join(map(str, starts))}")


def _load(path: Path) -> Tagger:
    """Load a model; torch comes when there is one to load."""
    from audiobag.export import load

    return load(path)


_main = command("report", _report)


def _show_dashboard(made: Dashboard) -> None:
    for notice in made.notices:
        _say(f"Mind: {notice}", style="yellow")
    for where in (*made.urls, *made.files):
        _say(f"Dashboard: {where}")


def _say(text: str, style: str | None = None) -> None:
    from rich.console import Console

    Console().print(text, style=style, soft_wrap=True, markup=False, highlight=False)


def _show(written: Report) -> None:
    """Print the tables, what to mind, what was left out, and where the page lies."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for table in written.tables:
        shown = Table(title=Text(table.title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for i, column in enumerate(table.columns[: table.essential]):
            shown.add_column(column, justify="right" if i else "left", overflow="fold", no_wrap=i > 0)
        for row in table.rows:
            shown.add_row(*map(Text, row[: table.essential]))
        console.print(shown)
    for notice in written.notices:
        console.print(f"Mind: {notice}", style="yellow", markup=False, highlight=False)
    for each in written.left_out:
        console.print(f"Left out: {each.path}: {each.reason}", style="yellow", markup=False, highlight=False)
    console.print(f"Report: {written.page}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    main()
