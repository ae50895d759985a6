"""The display of a sweep: a live table on a terminal, else a line per change, and the failures at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from audiobag.runs.directory import RunDirectory
from audiobag.runs.status import last_lines
from audiobag.sweep.child import LOG
from audiobag.sweep.jobs import Job, State
from audiobag.utils.console import say
from audiobag.utils.errors import ExitCode
from audiobag.utils.times import duration

_COLOURS = {State.RUNNING: "cyan", State.DONE: "green", State.FAILED: "red", State.INTERRUPTED: "yellow"}
_ENDED = (State.DONE, State.FAILED, State.INTERRUPTED)
_LASTING = (State.WAITING, State.QUEUED, State.RUNNING)
_REFRESH_SECONDS = 0.5
_TABLE_LINES = 6  # lines of a table besides its rows


class Display:
    """Shows the jobs of a sweep, whose states change while it runs, `slots` of them at once."""

    def __init__(self, jobs: Sequence[Job], console: Console, slots: int = 1) -> None:
        self.jobs = jobs
        self.console = console
        self.slots = slots
        self._begun = time.monotonic()
        self._shown: dict[str, State] = {job.name: job.state for job in jobs}
        self._live: Live | None = None
        self._next_refresh = 0.0

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the table on the screen if the console is a terminal."""
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
                self._next_refresh = time.monotonic() + _REFRESH_SECONDS
            return
        changed = [job for job in self.jobs if job.state is not self._shown[job.name]]
        for job in changed:
            self._shown[job.name] = job.state
            name, value = job.score() if job.state is State.DONE else ("", None)
            score = "" if value is None else f"  {name} {value:.4f}"
            say(f"{job.name}: {job.state.value}{score}", self.console)
        lasting = any(job.state in _LASTING for job in self.jobs)  # the last counts are those of the summary
        if lasting and any(job.state in _ENDED for job in changed):
            say(self._counts(), self.console)

    def plan(self, shorter: Mapping[str, Path]) -> None:
        """Show which jobs would run, continue or be skipped."""
        table = Table("job", "plan")
        for job in self.jobs:
            source = shorter.get(job.name)
            todo = (
                "continue"
                if job.begun
                else f"lengthen from step {int(RunDirectory(source).resumable()[0].stem[5:])}"
                if source
                else "run"
            )
            there = {State.SKIPPED: "skip: done before", State.QUEUED: "in the queue", State.RUNNING: "running"}
            table.add_row(Text(job.name), there.get(job.state, todo))
        self.console.print(table)

    def summary(self) -> None:
        """Show the last lines of the log of each failed job, and how many jobs are in each state."""
        for job in self.jobs:
            if job.state is State.FAILED:
                say(f"\n{job.name} failed ({_reason(job.exit_code)}); the end of {job.folder / LOG}:", self.console)
                for line in last_lines(job.folder):
                    say(f"  {line}", self.console)
        say(self._counts(), self.console)

    def table(self) -> Table:
        """Return the table of the jobs; if the terminal is too low for all, of those that are running."""
        table = Table("job", "state", caption=self._counts())
        for name in ("step", "val/mAP", "eval mAP", "time left"):
            table.add_column(name, justify="right")
        fits = len(self.jobs) <= self.console.height - _TABLE_LINES
        for job in self.jobs if fits else [j for j in self.jobs if j.state is State.RUNNING]:
            now = job.progress() if job.state is State.RUNNING else {}
            step = f"{now['step']}/{now['max_steps']}" if "step" in now else ""
            values = (now.get("val_mAP"), None) if now else (job.value(), job.eval_value())
            seconds = now.get("seconds_left")
            left = now.get("stage", "") if seconds is None else duration(seconds)
            colour = _COLOURS.get(job.state, "")
            state = f"[{colour}]{job.state.value}[/]" if colour else job.state.value
            table.add_row(Text(job.name), state, step, *("" if v is None else f"{v:.4f}" for v in values), left)
        return table

    def _counts(self) -> str:
        counts = Counter(job.state.value for job in self.jobs)
        said = [f"{n} {state}" for state, n in counts.items()]
        if any(job.started is not None for job in self.jobs):
            said.append(f"{duration(time.monotonic() - self._begun)} elapsed")
            if left := seconds_left(self.jobs, self.slots):
                said.append(f"about {duration(left)} left")
        return ", ".join(said)


def _reason(exit_code: int | None) -> str:
    if exit_code is None:
        return "never started"
    if exit_code < 0:
        return f"killed by signal {-exit_code}"
    if exit_code == ExitCode.DONE:
        return "it wrote no metrics.json"
    return f"exit code {exit_code}"


def seconds_left(jobs: Sequence[Job], slots: int) -> float | None:
    """Return the time until all jobs of a sweep have ended; None if nothing is known yet.

    A waiting job is taken to last as long as the mean of those that have run, or of the running ones.
    """
    now = time.monotonic()
    lasted = [job.ended - job.started for job in jobs if job.started is not None and job.ended is not None]
    known: list[tuple[float, float | None]] = [
        (now - job.started, job.progress().get("seconds_left"))
        for job in jobs
        if job.state is State.RUNNING and job.started is not None
    ]
    waiting = sum(job.state is State.WAITING for job in jobs)
    lasted = lasted or [elapsed + left for elapsed, left in known if left is not None]
    if not lasted or not (known or waiting):
        return None
    mean = sum(lasted) / len(lasted)
    # A job also starts and scores, which its own estimate leaves out.
    running = [max(left or 0.0, mean - elapsed, 0.0) for elapsed, left in known]
    return max([*running, (sum(running) + waiting * mean) / slots])
