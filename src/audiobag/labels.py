"""Classes and labels: the 527 of AudioSet by name, and a sparse table of which clips have which."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of a data set in the order of their indices: display names and machine ids."""

    names: tuple[str, ...]
    mids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@cache
def audioset_classes() -> ClassList:
    """Return AudioSet's 527 classes: index k is the label `k` of the published records.

    Source: the official `class_labels_indices.csv` (CC BY 4.0), see NOTICE.
    """
    text = (files("audiobag") / "assets" / "class_labels_indices.csv").read_text(encoding="utf-8")
    rows = sorted(csv.DictReader(text.splitlines()), key=lambda row: int(row["index"]))
    return ClassList(tuple(r["display_name"] for r in rows), tuple(r["mid"] for r in rows))


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Which clips have which classes, kept sparse: most of AudioSet's 527 columns are empty in a clip.

    Attributes:
        ids: [P], all clips' classes end to end.
        offsets: [N + 1], clip i has ids[offsets[i] : offsets[i + 1]].
        classes: K.
    """

    ids: NDArray[np.integer[Any]]
    offsets: NDArray[np.int64]
    classes: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """[K], how many clips each class has."""
        return np.bincount(self.ids, minlength=self.classes).astype(np.int64)

    @property
    def clips(self) -> NDArray[np.int64]:
        """[P], the clip that each entry of `ids` belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, rows: NDArray[np.int64]) -> LabelTable:
        """Return the table of these clips, in this order."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        entries = np.repeat(self.offsets[rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        return LabelTable(self.ids[entries], offsets, self.classes)

    def dense(self) -> NDArray[np.bool_]:
        """[N, K], true where clip n has class k."""
        table = np.zeros((len(self), self.classes), dtype=bool)
        table[self.clips, self.ids] = True
        return table

    @staticmethod
    def concatenate(tables: Sequence[LabelTable]) -> LabelTable:
        """Join the clips of several tables over the same classes."""
        starts = np.cumsum([0, *(len(t.ids) for t in tables)])
        offsets = [t.offsets[1:] + start for t, start in zip(tables, starts)]
        return LabelTable(np.concatenate([t.ids for t in tables]), np.concatenate([[0], *offsets]), tables[0].classes)
