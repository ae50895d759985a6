"""audiobag-report: tables, figures and a page over complete runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.command import Invocation, command
from audiobag.utils.console import say
from audiobag.utils.values import check_choice, listed

if TYPE_CHECKING:
    from audiobag.export import Tagger
    from audiobag.report import Report


def _report(called: Invocation[Any]) -> None:
    from audiobag.report import report
    from audiobag.report.collect import unsent
    from audiobag.runs.offline import sync_command

    options = called.options
    if options.dashboard is not None:
        check_choice("dashboard", options.dashboard, ("wandb",), ", or null for none")
    runs = [Path(str(folder)) for folder in listed(options.runs)]
    classes = None if options.classes is None else [str(name) for name in listed(options.classes)]
    out = None if options.out is None else Path(options.out)
    _show(report(runs, out, options.baseline, classes, options.replicates, _load, options.audio_url))
    if options.dashboard:
        from audiobag.report.dashboard import publish

        urls, notices = publish(runs, options.baseline)
        _warn(notices)
        for url in urls:
            say(f"Dashboard: {url}")
    if starts := unsent(runs):
        say(f"Offline W&B runs; to send them: {sync_command(starts)}")


def _load(path: Path) -> Tagger:
    """Load a model. torch is imported only if there is a model to load."""
    from audiobag.export import load

    return load(path)


main = command("report", _report, "runs")


def _show(written: Report) -> None:
    """Print the tables, the warnings, the folders left out, and where the page is."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for sentence in written.verdict:
        say(sentence, style="bold")
    for table in written.tables:
        shown = Table(title=Text(table.title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for i, column in enumerate(table.columns[: table.essential]):
            shown.add_column(column, justify="right" if i else "left", overflow="fold", no_wrap=i > 0)
        for i, row in enumerate(table.rows):
            cells = enumerate(row[: table.essential])
            shown.add_row(*(Text(cell, style="bold" if (i, j) in table.bold else "") for j, cell in cells))
        console.print(shown)
    _warn(written.notices)
    for each in written.left_out:
        say(f"Left out: {each.path}: {each.reason}", style="yellow")
    say(f"Report: {written.page}")


def _warn(notices: Sequence[str]) -> None:
    for notice in notices:
        say(f"Warning: {notice}", style="yellow")


if __name__ == "__main__":
    main()
