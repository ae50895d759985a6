"""Reading the pieces of a source, in this process or in several: clips to rows, frames to raw files.

Pieces are handed out and taken back in their order, so that nothing of what comes of them tells how many processes
read them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiobag.errors import UserError
from audiobag.prepare.rows import Rows
from audiobag.prepare.source import Advance, Part, Piece, Rejection, Rejects
from audiobag.processes import end_with
from audiobag.store import Description

_BUFFER = 2**20
_SECONDS_BETWEEN_LOOKS = 0.1
# Starting a process takes as long as reading this much.
_BYTES_PER_PROCESS = 2**27


@dataclass(frozen=True, slots=True)
class Block:
    """The clips of one part.

    Attributes:
        split: to which of the stores they belong.
        file: the part's name.
        dim: D.
        dtype: of the frames.
        description: of the store.
        rows: everything but their frames.
        raw: a file that has their frames end to end.
        first_frame: the number of the first of them in there.
    """

    split: str
    file: str
    dim: int
    dtype: np.dtype[Any]
    description: Description
    rows: Rows
    raw: Path
    first_frame: int


class Reading(NamedTuple):
    """What came of a piece: the clips of its parts, and the records that were left out."""

    blocks: list[Block]
    rejected: list[Rejection]


class Reader:
    """Reads pieces.

    Args:
        work: a folder for the raw files; one for each split is made.
        on_error: "stop" or "skip".
    """

    def __init__(self, work: Path, on_error: str) -> None:
        self._work = work
        self._on_error = on_error
        self._raws: dict[str, Path] = {}

    def read(self, piece: Piece, advance: Advance) -> Reading:
        """Read a piece.

        Raises:
            UserError: a bad record, if those are to stop the run.
        """
        rejects = Rejects(self._on_error)
        return Reading([self._block(part, rejects) for part in piece.parts(rejects, advance)], rejects.found)

    def _block(self, part: Part, rejects: Rejects) -> Block:
        raw = self._raws.setdefault(part.split, self._work / f"{os.getpid()}-{len(self._raws)}.frames")
        rows = Rows()
        with raw.open("ab", buffering=_BUFFER) as file:
            first_frame = file.tell() // (part.dim * part.dtype.itemsize)
            rows.take(part.clips, file, partial(rejects.add, part.split, part.file))
        return Block(part.split, part.file, part.dim, part.dtype, part.description, rows, raw, first_frame)


def worthwhile_processes(most: int, size: int) -> int:
    """Return how many processes, `most` at most, are worth their start for a source of `size` bytes."""
    return max(1, min(most, size // _BYTES_PER_PROCESS))


def read_pieces(
    pieces: Iterable[Piece], work: Path, on_error: str, advance: Advance, processes: int
) -> Generator[Reading]:
    """Yield what comes of each piece, in their order.

    Args:
        pieces: of a source.
        work: a folder for the raw files.
        on_error: "stop" or "skip".
        advance: is told of the bytes read.
        processes: that read; 1 stands for this one alone.

    Raises:
        UserError: a bad record, if those are to stop the run.
    """
    own = Reader(work, on_error)
    if processes == 1:
        for piece in pieces:
            yield own.read(piece, advance)
        return
    context = multiprocessing.get_context("spawn")
    tally = _Tally(context.Value("q", 0), advance)
    others = processes - 1
    pool = ProcessPoolExecutor(others, context, _begin, (work, on_error, tally.done, os.getpid()))
    waiting: deque[Future[Reading]] = deque()
    try:
        for piece in pieces:
            # While the others are starting, and whenever they have enough to do, this process reads as well.
            busy = sum(not future.done() for future in waiting) >= 2 * others
            waiting.append(_read_now(own, piece, advance) if busy or not piece.portable else pool.submit(_read, piece))
            tally.tell()
            while waiting and waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield tally.wait(waiting.popleft())
    except BrokenProcessPool as error:
        raise UserError(
            "a process that read the source was killed, for want of memory maybe: take fewer with processes="
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


class _Tally:
    """Hands on what all processes have read.

    Args:
        done: the bytes they have read, added up.
        advance: is told of them.
    """

    def __init__(self, done: Synchronized[int], advance: Advance) -> None:
        self.done = done
        self._advance = advance
        self._told = 0

    def wait(self, future: Future[Reading]) -> Reading:
        """Return the result, telling meanwhile."""
        while not wait([future], _SECONDS_BETWEEN_LOOKS).done:
            self.tell()
        self.tell()
        return future.result()

    def tell(self) -> None:
        """Hand on what has been read since the last time."""
        done = self.done.value
        self._advance(done - self._told)
        self._told = done


def _read_now(reader: Reader, piece: Piece, advance: Advance) -> Future[Reading]:
    """Read a piece in this process; an error of it waits for its turn."""
    future: Future[Reading] = Future()
    try:
        future.set_result(reader.read(piece, advance))
    except UserError as error:
        future.set_exception(error)
    return future


class _Worker:
    """What a process of the pool has."""

    reader: Reader
    done: Synchronized[int]


def _begin(work: Path, on_error: str, done: Synchronized[int], parent: int) -> None:
    end_with(parent)
    # A Ctrl-C comes to all processes of the terminal; the one that gave out the pieces sees to the others.
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    _Worker.reader, _Worker.done = Reader(work, on_error), done


def _read(piece: Piece) -> Reading:
    return _Worker.reader.read(piece, _advance)


def _advance(size: int) -> None:
    with _Worker.done.get_lock():
        _Worker.done.value += size
