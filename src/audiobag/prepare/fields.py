"""Checked access to the arrays of a file: offsets, labels, columns and numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.prepare.source import BadRecord
from audiobag.utils.errors import InputError

Arrays = Mapping[str, Any]
"""Name -> array of an open file: an HDF5 data set, which is read where it is sliced, or a NumPy array."""

ReadLabels = Callable[[int, int], Callable[[int], Sequence[int]]]
"""(i, j) -> a function that returns the labels of one of the clips i..j - 1, or raises `BadRecord`."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The arrays and attributes of a file. All methods raise `ValueError` for arrays that contradict each other.

    Attributes:
        path: the file, for messages.
        arrays: the arrays in the file.
        attributes: attributes of the file; empty for NPZ.
    """

    path: Path
    arrays: Arrays
    attributes: Mapping[str, Any]

    def expect(self, good: bool, found: str, expected: str) -> None:
        """Refuse the file unless a condition holds."""
        if not good:
            raise InputError(f"{self.path}: {found}, expected {expected}: see 'Your embeddings' in the documentation")

    def column(self, name: str, n: int, default: Any) -> Any:
        """Return an array [N], or the default if there is none."""
        if name not in self.arrays:
            return default
        values = self.arrays[name][()]
        self.expect(values.shape == (n,), f"{name} is {list(values.shape)}", f"[{n}]")
        return values

    def number(self, name: str, default: float) -> float:
        """Return a number from an array or an attribute, or the default if there is neither."""
        value = np.asarray(self.arrays[name][()] if name in self.arrays else self.attributes.get(name, default))
        self.expect(value.size == 1 and value.dtype.kind in "iuf", f"{name} is {value}", "one number")
        return float(value.reshape(()))

    def seconds(self, name: str, n: int) -> NDArray[np.float32]:
        """Return a column [N] of seconds, by default NaN, which means unknown."""
        values = np.asarray(self.column(name, n, np.full(n, np.nan, np.float32)))
        self.expect(values.dtype.kind in "iuf", f"{name} is {values.dtype}", "numbers")
        with np.errstate(over="ignore"):  # becomes infinity, which is refused with the clip's name
            return values.astype(np.float32)

    def check_names(self, known: Collection[str]) -> None:
        """Refuse an array or attribute whose name is probably a misspelling of a known one that is missing."""
        there = {*self.arrays, *self.attributes}
        for name in sorted(there - set(known)):
            missing = set(known) - there
            times = {f"{first}_seconds" for first in ("start", "end") if name.partition("_")[0] == first}
            for meant in sorted(times & missing) or difflib.get_close_matches(name, missing, n=1, cutoff=0.8):
                raise InputError(f"{self.path} has {name}, which nothing reads: name it {meant}, or remove it")

    def frame_offsets(self, total: int) -> NDArray[np.int64]:
        """Return the offsets [N + 1] of the clips in `total` frames, stored as offsets or as lengths."""
        if "offsets" in self.arrays:
            return self._check_offsets("offsets", self._integers("offsets"), total)
        if "lengths" not in self.arrays:
            raise InputError(f"{self.path} has frames but neither lengths nor offsets: add one of them")
        return self._check_offsets("lengths", np.concatenate([[0], np.cumsum(self._integers("lengths"))]), total)

    def labels(self, n: int, labelled: bool) -> tuple[ReadLabels, int]:
        """Return a function that reads the labels of N clips, and the number of classes."""
        names = len(self.arrays["class_names"]) if "class_names" in self.arrays else None
        if "labels" in self.arrays:
            hot = self.arrays["labels"]
            good = hot.ndim == 2 and len(hot) == n and names in (None, hot.shape[1])
            self.expect(good, f"labels is {list(hot.shape)}", f"[{n}, {names or 'K'}]")
            return multi_hot(hot), hot.shape[1]
        if not labelled and "label_ids" not in self.arrays:
            return no_labels, names or 0
        if "label_ids" not in self.arrays or "label_offsets" not in self.arrays:
            raise InputError(f"{self.path} has frames but no labels: add labels [N, K], or label_ids and label_offsets")
        ids = self._integers("label_ids")
        offsets = self._check_offsets("label_offsets", self._integers("label_offsets"), len(ids))
        self.expect(len(offsets) == n + 1, f"label_offsets has {len(offsets)} entries", f"{n + 1}, one more than clips")
        classes = names or int(ids.max(initial=0)) + 1
        return _sparse(ids, offsets, classes), classes

    def _integers(self, name: str) -> NDArray[np.int64]:
        values = self.arrays[name][()]
        good = values.ndim == 1 and values.dtype.kind in "iu"
        self.expect(good, f"{name} is {values.dtype} {list(values.shape)}", "integers in one dimension")
        integers: NDArray[np.int64] = values.astype(np.int64)
        return integers

    def _check_offsets(self, name: str, offsets: NDArray[np.int64], total: int) -> NDArray[np.int64]:
        spans = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == total
        found = f"{name} spans {offsets[0]}..{offsets[-1]}" if len(offsets) else f"{name} is empty"
        self.expect(bool(spans), found, f"0..{total}")
        self.expect(bool(np.all(np.diff(offsets) >= 0)), f"{name} decreases", "ascending offsets")
        return offsets


def no_labels(_i: int, _j: int) -> Callable[[int], Sequence[int]]:
    """Read no labels; a `ReadLabels`."""
    return lambda _clip: ()


def multi_hot(hot: Any) -> ReadLabels:
    """Return a function that reads labels stored as 0 and 1, [N, K]."""

    def block(i: int, j: int) -> Callable[[int], Sequence[int]]:
        values = hot[i:j]
        wrong = ((values != 0) & (values != 1)).any(axis=1)

        def labels(clip: int) -> Sequence[int]:
            if wrong[clip - i]:
                raise BadRecord("a label is neither 0 nor 1")
            return np.flatnonzero(values[clip - i]).tolist()

        return labels

    return block


def _sparse(ids: NDArray[np.int64], offsets: NDArray[np.int64], classes: int) -> ReadLabels:
    def labels(clip: int) -> Sequence[int]:
        found = sorted(set(ids[offsets[clip] : offsets[clip + 1]].tolist()))
        wrong = [k for k in found if not 0 <= k < classes]
        if wrong:
            raise BadRecord(f"label {wrong[0]} is outside 0..{classes - 1}")
        return found

    return lambda _i, _j: labels
