"""The names of classes, a sparse table of the labels of clips, and what losses and augmentations know about clips."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassList:
    """Display names and machine ids of the classes of a data set, in the order of their indices."""

    names: tuple[str, ...]
    mids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@cache
def audioset_classes() -> ClassList:
    """Return the 527 classes of AudioSet; class k is label `k` of the published records.

    Source: the official `class_labels_indices.csv` (CC BY 4.0), see NOTICE.
    """
    text = (files("audiobag") / "assets" / "class_labels_indices.csv").read_text(encoding="utf-8")
    rows = sorted(csv.DictReader(text.splitlines()), key=lambda row: int(row["index"]))
    return ClassList(tuple(r["display_name"] for r in rows), tuple(r["mid"] for r in rows))


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The labels of N clips, as a sparse table.

    Attributes:
        ids: classes [P] of all clips, end to end.
        offsets: [N + 1]; clip i has the classes `ids[offsets[i] : offsets[i + 1]]`.
        classes: K, the number of classes.
    """

    ids: NDArray[np.integer[Any]]
    offsets: NDArray[np.int64]
    classes: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of clips [K] of each class."""
        return np.bincount(self.ids, minlength=self.classes).astype(np.int64)

    @property
    def clips(self) -> NDArray[np.int64]:
        """Clip [P] that each entry of `ids` belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, rows: NDArray[np.int64]) -> LabelTable:
        """Return the table of some clips, in the order of `rows`."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        entries = np.repeat(self.offsets[rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        return LabelTable(self.ids[entries], offsets, self.classes)

    def dense(self) -> NDArray[np.bool_]:
        """Return [N, K], true where clip n has class k."""
        table = np.zeros((len(self), self.classes), dtype=bool)
        table[self.clips, self.ids] = True
        return table

    @staticmethod
    def concatenate(tables: Sequence[LabelTable]) -> LabelTable:
        """Return one table of the clips of several tables with the same classes."""
        starts = np.cumsum([0, *(len(t.ids) for t in tables)])
        offsets = [t.offsets[1:] + start for t, start in zip(tables, starts)]
        return LabelTable(np.concatenate([t.ids for t in tables]), np.concatenate([[0], *offsets]), tables[0].classes)


@dataclass(frozen=True, slots=True)
class TrainingClips:
    """What augmentations and losses know about the N training clips.

    Attributes:
        video_id: [N]; `Bags.index` counts the clips in this order.
        labels: their labels.
        mids: machine id of each of the K classes.
        scale: factor that dequantises a stored frame.
        held_out: whether other clips of the same stores are held out for validation.
    """

    video_id: NDArray[np.character]
    labels: LabelTable
    mids: Sequence[str]
    scale: float = 1.0
    held_out: bool = False


@runtime_checkable
class LearnsOfClips(Protocol):
    """A loss or an augmentation that needs to know the training clips.

    Training calls `set_training_clips` before the first step, on each loss and augmentation that has it.
    """

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Learn about the training clips.

        Raises:
            ValueError: the part cannot be used with these clips.
        """
