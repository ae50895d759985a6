"""What a sweep shows: a live table on a terminal, a line a change elsewhere, the failures at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from audiobag.errors import ExitCode
from audiobag.sweep.child import LOG, last_lines
from audiobag.sweep.jobs import Job, State

_COLOURS = {State.RUNNING: "cyan", State.DONE: "green", State.FAILED: "red", State.INTERRUPTED: "yellow"}


class Display:
    """Shows jobs; `update` is called whenever there may be news."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.jobs = jobs
        self.console = console
        self._shown: dict[str, State] = {job.name: job.state for job in jobs}
        self._live: Live | None = None
        self._next_refresh = 0.0

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the table on the screen, where there is one."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self.table(), console=self.console, auto_refresh=False) as self._live:
            yield
            self._live.update(self.table(), refresh=True)

    def update(self) -> None:
        """Show what has changed."""
        if self._live is not None:
            if time.monotonic() >= self._next_refresh:
                self._live.update(self.table(), refresh=True)
                self._next_refresh = time.monotonic() + 0.5
            return
        for job in self.jobs:
            if job.state is not self._shown[job.name]:
                self._shown[job.name] = job.state
                value = job.value() if job.state is State.DONE else None
                score = "" if value is None else f"  val/mAP {value:.4f}"
                self.console.print(f"{job.name}: {job.state.value}{score}", soft_wrap=True, highlight=False)

    def plan(self) -> None:
        """Show what would run and what is done."""
        table = Table("job", "plan", title=None)
        for job in self.jobs:
            todo = "continue" if job.begun else "run"
            table.add_row(job.name, "skip: done before" if job.state is State.SKIPPED else todo)
        self.console.print(table)

    def summary(self) -> None:
        """Show the failures with their last lines of log, and how many jobs ended how."""
        for job in self.jobs:
            if job.state is State.FAILED:
                self.console.print(f"\n{job.name} failed ({_reason(job.exit_code)}); the end of {job.folder / LOG}:")
                for line in last_lines(job.folder):
                    self.console.print(f"  {line}", markup=False, highlight=False)
        self.console.print(self._counts(), highlight=False)

    def _counts(self) -> str:
        counts = Counter(job.state.value for job in self.jobs)
        return ", ".join(f"{n} {state}" for state, n in counts.items())

    def table(self) -> Table:
        """Return the table of the jobs as they stand; where the screen is too low for all, of those at work."""
        table = Table("job", "state", title=None, caption=self._counts())
        for name in ("step", "val/mAP", "left"):
            table.add_column(name, justify="right")
        room = self.console.height - 6  # what the table's own lines leave
        shown = [j for j in self.jobs if j.state is State.RUNNING] if len(self.jobs) > room else self.jobs
        for job in shown:
            said = job.progress() if job.state is State.RUNNING else {}
            step = f"{said['step']}/{said['max_steps']}" if said else ""
            value = said.get("val_mAP") if said else job.value()
            left = _duration(said["seconds_left"]) if said.get("seconds_left") is not None else ""
            colour = _COLOURS.get(job.state, "")
            state = f"[{colour}]{job.state.value}[/]" if colour else job.state.value
            table.add_row(job.name, state, step, "" if value is None else f"{value:.4f}", left)
        return table


def _reason(exit_code: int | None) -> str:
    if exit_code is None:
        return "never started"
    if exit_code < 0:
        return f"killed by signal {-exit_code}"
    if exit_code == ExitCode.DONE:
        return "ended without results"
    return f"exit code {exit_code}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
