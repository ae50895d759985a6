"""Random stores of AudioSet's shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import Columns, DatasetInfo, Store, open_store, write_store

BALANCED, EVAL, FULL = 22_160, 20_371, 2_084_320


def random_store(path: Path, clips: int, classes: int = 527, dim: int = 128, seed: int = 0) -> Store:
    """Open a store of clips with ten uint8 frames and 1 to 4 labels; write it first if it does not exist."""
    if path.exists():
        return open_store(path)
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 5, clips)
    offsets = np.concatenate([[0], np.cumsum(count)])
    # One draw per clip, then steps too few to return to it, give distinct labels.
    first = np.repeat(rng.integers(0, classes, clips), count)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], count)
    labels = (first + place * max(1, classes // 5)) % classes
    columns = Columns(
        offsets=np.arange(clips + 1) * 10,
        label_ids=labels.astype(np.int16),
        label_offsets=offsets,
        video_id=np.char.mod("%011d", np.arange(clips)).astype(np.bytes_),
        start_seconds=np.zeros(clips, np.float32),
        end_seconds=np.full(clips, 10, np.float32),
    )
    names = tuple(f"class {k}" for k in range(classes))
    about = DatasetInfo(names, names, frame_seconds=1.0, scale=1 / 128, offset=-1.0, source="random")

    def pieces(block: int = 20_000) -> Iterator[NDArray[np.uint8]]:
        for begin in range(0, clips, block):
            n = 10 * (min(clips, begin + block) - begin)
            yield rng.integers(0, 256, (n, dim), dtype=np.uint8)

    write_store(path, frames=pieces(), dim=dim, dtype=np.dtype(np.uint8), columns=columns, description=about)
    return open_store(path)
