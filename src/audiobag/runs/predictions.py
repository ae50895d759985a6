"""predictions.h5: the clip probabilities of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic
from audiobag.utils.hdf5 import check_links, open_hdf5, read_whole


def write_predictions(
    path: Path,
    video_id: NDArray[np.character],
    probability: NDArray[np.float32],
    averaged: NDArray[np.float32] | None = None,
) -> None:
    """Write the clip probabilities [N, K] of a run, and those averaged over steps of its training.

    Raises:
        RuntimeError: the arrays are not about the same number of clips.
    """
    arrays = {"probability": probability, **({} if averaged is None else {"probability_averaged": averaged})}
    for name, values in arrays.items():
        if len(values) != len(video_id):
            raise RuntimeError(f"{len(video_id)} clips were to be scored, and {name} has {len(values)}")
    with atomic(path) as temporary, open_hdf5(temporary, "w") as file:
        file["video_id"] = video_id
        for name, values in arrays.items():
            file[name] = values


def read_predictions(path: Path, averaged: bool = False) -> tuple[NDArray[np.character], NDArray[np.float32]]:
    """Read video_id [N] and probability [N, K], or with `averaged` probability_averaged.

    Raises:
        ValueError: the file is missing, damaged, or has no such array.
    """
    name = "probability_averaged" if averaged else "probability"
    try:
        with open_hdf5(path) as file:
            check_links(file)
            video_id, probability = read_whole(file["video_id"]), read_whole(file[name])
    except (OSError, KeyError, TypeError) as error:
        raise InputError(f"{path} has no readable {name} ({type(error).__name__}: {error})") from error
    if probability.ndim != 2 or len(probability) != len(video_id):
        raise InputError(f"{path} has {len(video_id)} clips but {name} {list(probability.shape)}")
    return video_id, probability


def rows_of(wanted: NDArray[np.character], ids: NDArray[np.character]) -> NDArray[np.int64]:
    """Return the place [N] of each of some video ids [N] among others; -1 for one that is not there."""
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)]
    return np.where(ids[rows] == wanted, rows, -1)
