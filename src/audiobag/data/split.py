"""The hold-out: which clips of the training split are kept for validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def held_out(video_id: NDArray[np.character], fraction: float) -> NDArray[np.bool_]:
    """Return [N], true for the clips whose `uniform_hash` is less than `fraction`.

    The choice for a clip depends only on its own id, so it does not change when other clips are added or removed.

    Args:
        video_id: id [N] of each clip.
        fraction: share of the clips to hold out, in [0, 1).
    """
    return uniform_hash(video_id) < fraction


def in_fold(video_id: NDArray[np.character], fold: int, folds: int) -> NDArray[np.bool_]:
    r"""Return [N], true for the clips of one fold, where the folds share out all clips.

    $$\mathrm{fold}(i) = \lfloor u(i) \cdot \mathrm{folds} \rfloor$$

    with u the `uniform_hash`. The fold of a clip depends only on its own id.

    Args:
        video_id: id [N] of each clip.
        fold: number of the fold, from 0 to `folds` - 1.
        folds: number of folds.
    """
    of_clip = np.minimum(np.floor(uniform_hash(video_id) * folds), folds - 1)  # a hash can be rounded up to 1
    mine: NDArray[np.bool_] = of_clip == fold
    return mine


def uniform_hash(video_id: NDArray[np.character]) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each id [N].

    The hash is the 64-bit FNV-1a of the bytes of the id, with its bits mixed by Stafford's variant 13. It defines the
    hold-out, so it never changes.
    """
    ids = np.ascontiguousarray(video_id)
    h = np.full(len(ids), _FNV_OFFSET)
    for column in ids.view(np.uint8).reshape(len(ids), ids.itemsize).T:  # one byte of all ids at a time
        h = np.where(column > 0, (h ^ column) * _FNV_PRIME, h)  # zero bytes pad short ids
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    return h / 2.0**64
