"""The base class of trackers, which keeps their errors away from the run."""

from __future__ import annotations

import importlib.util
import io
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure
from PIL import Image

from audiobag.data.store import Store
from audiobag.runs.directory import RunDirectory
from audiobag.utils.errors import InputError, exit_code
from audiobag.utils.plotting import png

_LOG = logging.getLogger(__name__)
STEP = "trainer/global_step"


@dataclass(frozen=True, slots=True)
class Subject:
    """The run that a tracker mirrors.

    Attributes:
        run: its directory.
        config: the resolved configuration in plain containers, with checksums, versions and the revision of the code.
        stores: the stores that the run reads.
        sizes: bytes of the files that a complete run has, about: `model` and `predictions`.
    """

    run: RunDirectory
    config: Mapping[str, Any]
    stores: Sequence[Store]
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run: the name of its folder."""
        return self.run.path.resolve().name


class Tracker(Logger):
    """A Lightning logger that mirrors one run to another service.

    After an error it logs one warning and stops tracking; the run continues. It does nothing before `start`, which is
    called on the first rank only, so the other ranks do not track.
    """

    title: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._started = self._works = False

    @property
    def name(self) -> str:
        """Name of the service."""
        return self.title

    @property
    def version(self) -> str:
        """Empty, because a run directory has one run."""
        return ""

    def start(self, subject: Subject) -> None:
        """Start to mirror a run, or continue the mirror of an earlier start of it."""
        self._started = self._works = True
        self._attempt(self._start, subject)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self._attempt(self._numbers, metrics, step or 0)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because `start` gets the whole configuration."""

    def picture(self, name: str, draw: Callable[[], Figure], step: int) -> None:
        """Log a figure. It is drawn here, so that an error in drawing does not stop the run either."""
        if self._works:
            self._attempt(lambda: self._picture(name, draw(), step))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table; None is an empty cell."""
        self._attempt(self._table, name, columns, rows, step)

    def summarise(self, numbers: Mapping[str, float]) -> None:
        """Record the final numbers of the run."""
        self._attempt(self._summarise, numbers)

    def file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None:
        """Record a file of the run, of the kind `model` or `predictions`, with metadata."""
        self._attempt(self._file, kind, path, about)

    def finish(self, code: int) -> None:
        """Finish with the exit code of the command, also after an error."""
        if self._started:
            self._attempt(self._finish, code, even_if_broken=True)
            self._started = self._works = False

    def _attempt(self, what: Callable[..., None], *args: Any, even_if_broken: bool = False) -> None:
        if not (self._works or even_if_broken):
            return
        try:
            what(*args)
        except Exception as error:  # trackers raise exceptions of many kinds
            if self._works:
                reason = " ".join(str(error).split())[:300] or "no reason given"
                _LOG.warning(
                    "%s stopped tracking (%s: %s); the run continues, and its directory has all results",
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
    """Start the trackers among some loggers, yield them, and finish them with the exit code of the block."""
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


def image_of(figure: Figure) -> Image.Image:
    """Return a figure as an image, as trackers take it."""
    return Image.open(io.BytesIO(png(figure, dpi=100)))


def need(module: str, extra: str) -> None:
    """Check that an optional package is installed.

    Raises:
        ValueError: the module is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"logger={extra} needs the package {module}, which is not installed: pip install 'audiobag[{extra}]'"
        )
