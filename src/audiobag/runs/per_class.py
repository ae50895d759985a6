"""per_class.csv: the scores of each class of a run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiobag.utils.errors import InputError
from audiobag.utils.files import write_text


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of K classes.

    Attributes:
        names: K display names.
        positives: [K], number of scored clips that have the class.
        average_precision: [K]; NaN for a class that cannot be scored.
        auc: [K]; NaN for a class that cannot be scored.
        training_clips: [K], number of training clips that have the class; None if unknown.
    """

    names: tuple[str, ...]
    positives: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    auc: NDArray[np.float64]
    training_clips: NDArray[np.int64] | None


def write_per_class(
    path: Path,
    names: Sequence[str],
    positives: Sequence[int],
    columns: Mapping[str, Sequence[float]],
    training_clips: Sequence[int] | None = None,
) -> None:
    """Write per_class.csv; without `training_clips`, their cells are empty."""
    write_classes(path, names, {"positives": positives, "training_clips": training_clips or [""] * len(names)}, columns)


def write_classes(
    path: Path, names: Sequence[str], counts: Mapping[str, Sequence[object]], scores: Mapping[str, Sequence[float]]
) -> None:
    """Write a CSV file with a row for each of K classes, whose cell is empty where a score is not finite.

    Args:
        path: the file.
        names: K display names.
        counts: K cells for each name of a column.
        scores: K numbers for each name of a column.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "name", *counts, *scores])
    cells = [[repr(value) if math.isfinite(value) else "" for value in values] for values in scores.values()]
    for k, row in enumerate(zip(names, *counts.values(), *cells, strict=True)):
        rows.writerow([k, *row])
    write_text(path, text.getvalue())


def read_per_class(path: Path) -> ClassScores:
    """Read per_class.csv.

    Raises:
        ValueError: the file is missing, or is not such a table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        trained = [row["training_clips"] for row in rows]
        return ClassScores(
            tuple(row["name"] for row in rows),
            np.array([int(row["positives"]) for row in rows], dtype=np.int64),
            np.array([float(row["AP"] or "nan") for row in rows], dtype=np.float64),
            np.array([float(row.get("AUC") or "nan") for row in rows], dtype=np.float64),
            np.array([int(n) for n in trained], dtype=np.int64) if all(trained) else None,
        )
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not a run's table of classes ({type(error).__name__}: {error})") from error
