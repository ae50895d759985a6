"""The hold-out: which clips of the training split validate instead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def held_out(video_id: NDArray[np.character], fraction: float) -> NDArray[np.bool_]:
    """Return [N], true for about `fraction` of the clips: those whose id hashes below it.

    A clip's side depends on its own id alone, so that it never changes when clips are added or left out.
    """
    return uniform_hash(video_id) < fraction


def uniform_hash(video_id: NDArray[np.character]) -> NDArray[np.float64]:
    """Return [N], a number in [0, 1) for each id, the same for ever.

    64-bit FNV-1a of the id's bytes, its bits then mixed (Stafford's variant 13).
    """
    ids = np.ascontiguousarray(video_id)
    h = np.full(len(ids), _FNV_OFFSET)
    for column in ids.view(np.uint8).reshape(len(ids), -1).T:  # byte by byte, all clips at once
        h = np.where(column > 0, (h ^ column) * _FNV_PRIME, h)  # zeros only pad ids to the array's width
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    return h / 2.0**64
