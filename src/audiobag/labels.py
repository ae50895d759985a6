"""The names of classes, their ontology, and a sparse table of the labels of clips."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.utils.errors import InputError


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


def read_ontology(path: Path, name: str = "ontology") -> dict[str, list[str]]:
    """Return the ids of the children of each entry of an ontology.

    Args:
        path: a file like AudioSet's `ontology.json`: a list of entries with `id` and `child_ids`.
        name: name of the argument, for the message.

    Raises:
        ValueError: the file is not an ontology.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(entry["id"]): [str(child) for child in entry["child_ids"]] for entry in content}
    except OSError as error:
        raise InputError(f"{name} must be a file, got {path} ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{name} {path} is not a list of id and child_ids ({type(error).__name__})") from error


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
