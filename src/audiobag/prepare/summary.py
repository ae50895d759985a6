"""The summary that `prepare` returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audiobag.data.store import Store

_MOST_BINS = 10
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """The counts of one split.

    Attributes:
        name: name of the split.
        clips: N.
        positives: P, labels summed over the clips.
        frames_per_clip: (shortest, longest, clips) of each bin of the histogram, bounds inclusive.
        without_positives: names of the classes that no clip has.
        rejected: number of bad records that were skipped.
    """

    name: str
    clips: int
    positives: int
    frames_per_clip: tuple[tuple[int, int, int], ...]
    without_positives: tuple[str, ...]
    rejected: int

    @classmethod
    def of(cls, name: str, store: Store) -> SplitSummary:
        """Summarise a store that `prepare` wrote."""
        columns = store.columns
        missing = tuple(store.description.class_names[k] for k in np.flatnonzero(store.labels.counts == 0))
        rejected = int(store.attributes["rejected"])
        return cls(name, len(columns), len(columns.label_ids), _histogram(columns.lengths), missing, rejected)


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of `prepare`; rich renders it as a table.

    Attributes:
        out: folder of the stores.
        splits: one entry per split.
        rejected: number of bad records that were skipped, over all splits.
        seconds: duration of the run.
        unchanged: True if the stores existed already and nothing was done.
    """

    out: Path
    splits: tuple[SplitSummary, ...]
    rejected: int
    seconds: float
    unchanged: bool

    @property
    def clips_per_second(self) -> float:
        """Number of clips prepared per second."""
        return sum(split.clips for split in self.splits) / self.seconds

    def __rich__(self) -> RenderableType:
        table = Table("split", title=Text(f"stores in {self.out}"), title_justify="left")
        for heading in ("clips", "positives", "frames per clip: clips", "classes without positives", "rejected"):
            table.add_column(heading, justify="right")
        for split in self.splits:
            table.add_row(*map(Text, (split.name, *_cells(split))))
        return Group(table, Text(self._last_line()))

    def _last_line(self) -> str:
        if self.unchanged:
            return f"{self.out} was prepared from this source already: nothing to do (force=true prepares it again)"
        clips = sum(split.clips for split in self.splits)
        line = f"{clips:,} clips in {self.seconds:.1f} s: {self.clips_per_second:,.0f} clips/s"
        if self.rejected:
            line += f"; {self.rejected:,} bad records skipped, listed in {self.out / 'rejected.csv'}"
        return line


def _cells(split: SplitSummary) -> Iterator[str]:
    yield f"{split.clips:,}"
    yield f"{split.positives:,}"
    yield "\n".join(
        f"{low}: {clips:,}" if low == high else f"{low} to {high}: {clips:,}"
        for low, high, clips in split.frames_per_clip
    )
    names = split.without_positives
    shown = "".join(f"\n{name}" for name in names[:_MOST_NAMES]) + ("\n..." if len(names) > _MOST_NAMES else "")
    yield f"{len(names):,}{shown}"
    yield f"{split.rejected:,}"


def _histogram(lengths: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Return (shortest, longest, clips) of each bin with clips; up to ten different lengths get a bin each."""
    values, counts = np.unique(lengths, return_counts=True)
    if len(values) <= _MOST_BINS:
        return tuple((int(n), int(n), int(c)) for n, c in zip(values, counts, strict=True))
    edges = np.unique(np.linspace(values[0], values[-1] + 1, _MOST_BINS + 1).astype(np.int64))
    counts, _ = np.histogram(lengths, edges)
    bins = zip(edges[:-1], edges[1:] - 1, counts, strict=True)
    return tuple((int(low), int(high), int(c)) for low, high, c in bins if c)
