"""What every tracker has in common: it is told of a run, and whatever goes wrong in it stays there."""

from __future__ import annotations

import importlib.util
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure

from audiobag.errors import UserError, exit_code
from audiobag.runs import RunDirectory
from audiobag.store import Store

_LOG = logging.getLogger(__name__)
STEP = "trainer/global_step"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a tracker is told of a run before it starts.

    Attributes:
        run: its directory.
        config: the whole configuration, resolved, in plain containers, and what else tells where the run came from.
        stores: what it reads.
    """

    run: RunDirectory
    config: Mapping[str, Any]
    stores: Sequence[Store]

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.run.path.resolve().name


class Tracker(Logger):
    """A mirror of one run. An error in it costs one warning and the rest of the mirror, never the run.

    Lightning hands it the numbers it logs. Nothing happens before `start`, which comes to the first rank alone, so
    that the other ranks' trackers stay silent.
    """

    title: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._started = self._works = False

    @property
    def name(self) -> str:
        """What it is."""
        return self.title

    @property
    def version(self) -> str:
        """Nothing: a run directory has one run."""
        return ""

    def start(self, subject: Subject) -> None:
        """Begin to mirror a run, or go on with the mirror that an earlier start of it left."""
        self._started = self._works = True
        self._attempt(self._start, subject)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take numbers as they come."""
        self._attempt(self._numbers, metrics, step or 0)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Take nothing: `start` got the whole configuration."""

    def picture(self, name: str, draw: Callable[[], Figure], step: int) -> None:
        """Take a picture, which is drawn here, where it can do no harm."""
        if self._works:
            self._attempt(lambda: self._picture(name, draw(), step))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Take a table; None where a cell is empty."""
        self._attempt(self._table, name, columns, rows, step)

    def summarise(self, numbers: Mapping[str, float]) -> None:
        """Take the numbers that the run comes down to."""
        self._attempt(self._summarise, numbers)

    def file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None:
        """Take a file that the run left: its `model`, its `predictions`."""
        self._attempt(self._file, kind, path, about)

    def finish(self, code: int) -> None:
        """End the mirror with the command's exit code, even one that stopped working on the way."""
        if self._started:
            self._attempt(self._finish, code, even_if_broken=True)
            self._started = self._works = False

    def _attempt(self, what: Callable[..., None], *args: Any, even_if_broken: bool = False) -> None:
        if not (self._works or even_if_broken):
            return
        try:
            what(*args)
        except Exception as error:  # a tracker may raise anything
            if self._works:
                reason = " ".join(str(error).split())[:300] or "no reason given"
                _LOG.warning(
                    "%s stopped tracking (%s: %s); the run goes on, and its directory holds everything",
                    self.title,
                    type(error).__name__,
                    reason,
                )
            self._works = False

    @abstractmethod
    def _start(self, subject: Subject) -> None: ...

    @abstractmethod
    def _numbers(self, metrics: Mapping[str, float], step: int) -> None: ...

    @abstractmethod
    def _picture(self, name: str, figure: Figure, step: int) -> None: ...

    @abstractmethod
    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None: ...

    @abstractmethod
    def _summarise(self, numbers: Mapping[str, float]) -> None: ...

    @abstractmethod
    def _file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _finish(self, code: int) -> None: ...


@contextmanager
def tracked(loggers: Sequence[Logger], subject: Subject) -> Iterator[list[Tracker]]:
    """Start the trackers among some loggers and yield them; finish them whatever comes, with its exit code."""
    trackers = [logger for logger in loggers if isinstance(logger, Tracker)]
    code = exit_code(None)
    try:
        for tracker in trackers:
            tracker.start(subject)
        yield trackers
    except BaseException as end:
        code = exit_code(end)
        raise
    finally:
        for tracker in trackers:
            tracker.finish(code)


def need(module: str, extra: str) -> None:
    """Refuse, before any work, what the installation lacks.

    Raises:
        UserError: the module is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"logger={extra} needs the package {module}, which is not installed: pip install 'audiobag[{extra}]'"
        )
