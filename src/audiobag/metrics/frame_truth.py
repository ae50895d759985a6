"""In which frames each class is heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """In which frames of M clips which of K classes is heard, as a sparse table of P pairs of a clip and a class.

    Attributes:
        lengths: number of frames [M] of each clip.
        clip: clip [P] of each pair, 0 to M - 1.
        label: class [P] of each pair; no pair occurs twice.
        shows: [P, T], true in the frames that show the class, with T at least the largest length.
        classes: K.
        known: [P, T], true where `shows` is known, for truth with explicit negatives: nothing is known of other frames
            and pairs. None if everything is known, so that a class is absent from all clips without a pair.
    """

    lengths: Int64[NDArray[Any], " M"]
    clip: Int64[NDArray[Any], " P"]
    label: Int64[NDArray[Any], " P"]
    shows: Bool[NDArray[Any], "P T"]
    classes: int
    known: Bool[NDArray[Any], "P T"] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def first(self) -> Int64[NDArray[Any], " M"]:
        """Row [M] of the first frame of each clip, where the frames of all clips lie end to end."""
        first: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return first

    @property
    def valid(self) -> Bool[NDArray[Any], "P T"]:
        """[P, T], true in known frames of the clip, false in padding."""
        valid: NDArray[np.bool_] = np.arange(self.shows.shape[1]) < self.lengths[self.clip, None]
        return valid if self.known is None else valid & self.known

    @property
    def rows(self) -> Int64[NDArray[Any], "P T"]:
        """Row [P, T] of each frame, where the frames of all clips lie end to end; padding repeats the last frame."""
        t = np.minimum(np.arange(self.shows.shape[1]), self.lengths[self.clip, None] - 1)
        rows: NDArray[np.int64] = self.first[self.clip, None] + t
        return rows

    def dense(self) -> Bool[NDArray[Any], "F K"]:
        """Return [F, K], true where a frame shows a class, with the frames of all clips end to end."""
        table = np.zeros((int(self.lengths.sum()), self.classes), np.bool_)
        pair, t = np.nonzero(self.shows & self.valid)
        table[self.rows[pair, t], self.label[pair]] = True
        return table
