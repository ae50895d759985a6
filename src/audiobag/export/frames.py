"""Frames of clips in one array, as a model takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiobag.utils.errors import InputError

Batch = tuple[NDArray[Any], NDArray[np.int64]]
"""Frames [B, T, D] and lengths [B]."""


def to_batch(frames: ArrayLike | Sequence[ArrayLike], lengths: ArrayLike | None, dim: int) -> Batch:
    """Return frames in one array, with the length of each bag.

    Args:
        frames: [B, T, D]; or a list of bags [T_i, D], which are padded.
        lengths: [B], how many of the T frames are real; None for all of them.
        dim: D that the model takes.

    Raises:
        ValueError: the shapes or lengths do not fit.
    """
    if isinstance(frames, list | tuple):
        if lengths is not None:
            raise InputError("omit lengths when you pass a list of bags")
        padded, counts = _padded([np.asarray(bag) for bag in frames])
    else:
        padded = np.asarray(frames)
        full = np.full(len(padded) if padded.ndim else 0, padded.shape[1] if padded.ndim > 1 else 0)
        counts = full if lengths is None else np.asarray(lengths)
    if padded.ndim != 3 or padded.shape[2] != dim or 0 in padded.shape:
        raise InputError(
            f"frames must have the shape [clips, frames, {dim}] or be a list of bags [frames, {dim}], got"
            f" {list(padded.shape)}: pass one clip as frames[None]"
        )
    B, T = padded.shape[:2]
    if counts.shape != (B,) or not np.issubdtype(counts.dtype, np.integer) or counts.min() < 1 or counts.max() > T:
        raise InputError(f"lengths must be {B} whole numbers from 1 to {T}, one for each clip, got {counts}")
    return padded, counts.astype(np.int64)


def _padded(bags: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    if not bags or any(bag.ndim != 2 or bag.shape[1] != bags[0].shape[1] for bag in bags):
        raise InputError(f"expected a list of bags [frames, D], got the shapes {[bag.shape for bag in bags]}")
    counts = np.array([len(bag) for bag in bags])
    padded = np.zeros((len(bags), counts.max(), bags[0].shape[1]), np.result_type(*bags))
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    return padded, counts
