"""Predictions of several runs for the same clips, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from audiobag.runs.directory import RunDirectory
from audiobag.runs.predictions import read_predictions, rows_of
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, listed

_SMALLEST = 1e-7  # probabilities of exactly 0 and 1 have no finite logit


@dataclass(frozen=True)
class SavedPredictions:
    r"""Averages the predictions of those runs that held a clip out.

    $$q_{nk} = \sigma\left( \frac{1}{|R_n|} \sum_{r \in R_n} \sigma^{-1}(F^r_{nk}) \right)
      \quad \text{or} \quad q_{nk} = \frac{1}{|R_n|} \sum_{r \in R_n} F^r_{nk}$$

    $R_n$ are the files that have clip n. With one run per fold, every clip is predicted by a model that was not trained
    on it.

    Args:
        paths: folders of runs, which stand for their `holdout.h5`; folders of sweeps, which stand for all their runs;
            or files like `holdout.h5`: video_id [N], probability [N, K].
        combine: "logit" for the mean of the logits of probabilities clipped to [1e-7, 1 - 1e-7]; "probability" for the
            mean of the probabilities.

    Raises:
        ValueError: `combine` is neither.
    """

    paths: str | PathLike[str] | Sequence[str | PathLike[str]]
    combine: str = "logit"

    def __post_init__(self) -> None:
        check_choice("combine", self.combine, ("logit", "probability"))

    def probability(self, video_id: NDArray[np.character]) -> NDArray[np.float32]:
        """Return the averaged probabilities [N, K] of some clips.

        Args:
            video_id: [N].

        Raises:
            ValueError: a folder has no predictions, a file cannot be read or has other classes, or no file has a clip.
        """
        files = [file for path in listed(self.paths) for file in _files(Path(path))]
        if not files:
            raise InputError("paths must name the folders of runs, or files of predictions, got none")
        total, count = np.zeros((len(video_id), 0), np.float32), np.zeros(len(video_id), np.int64)
        for path in files:
            ids, values = read_predictions(path)
            if not total.shape[1]:
                total = np.zeros((len(video_id), values.shape[1]), np.float32)
            if values.shape[1] != total.shape[1]:
                raise InputError(
                    f"paths must have the same classes: {path} has {values.shape[1]}, not {total.shape[1]}"
                )
            rows = rows_of(video_id, ids)
            here = np.flatnonzero(rows >= 0)
            total[here] += self._scale(values[rows[here]])
            count[here] += 1
        if missing := int((count == 0).sum()):
            first = video_id[np.argmin(count)]
            name = first.decode(errors="replace") if isinstance(first, bytes) else first
            raise InputError(
                f"paths have no prediction of {missing:,} of {len(video_id):,} clips, the first is {name}: give a run"
                " of each fold"
            )
        mean: NDArray[np.float32] = np.divide(total, count[:, None], dtype=np.float32)
        return mean if self.combine == "probability" else expit(mean)

    def _scale(self, probability: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        if self.combine == "probability":
            return probability
        logits: NDArray[np.float64] = logit(probability.astype(np.float64).clip(_SMALLEST, 1 - _SMALLEST))
        return logits


def _files(path: Path) -> list[Path]:
    """Return the files of predictions that a path stands for.

    Raises:
        ValueError: there is no such path, or no file in the folder.
    """
    if not path.exists():
        raise InputError(
            f"paths must name the folders of runs, or files of predictions, got {path}, which is not there"
        )
    if not path.is_dir():
        return [path]
    own = RunDirectory(path).hold_out
    if files := [own] if own.exists() else sorted(path.glob(f"*/{own.name}")):
        return files
    raise InputError(
        f"paths must name runs that held clips out, got {path} without {own.name}: give a run of each fold"
    )
