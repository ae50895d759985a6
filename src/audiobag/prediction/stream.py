"""Predict a stream of clips batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiobag.export import Tagger
from audiobag.prepare.records import Clip
from audiobag.utils.values import check_whole

# Frames of a padded batch. With AudioSet's 527 classes, f and p then take 35 MB each.
_MOST_FRAMES = 2**14


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions for B clips.

    Attributes:
        clips: the B clips.
        probability: F [B, K].
        frame: f [B, T, K]; undefined beyond a clip's own frames.
        measure: p [B, T, K]; None if the model has no measure.
    """

    clips: Sequence[Clip]
    probability: NDArray[np.float32]
    frame: NDArray[np.float32]
    measure: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.clips)

    def frames(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return f and p [T_i, K] of clip i of the batch; p is None if the model has no measure."""
        T = len(self.clips[i].frames)
        return self.frame[i, :T], None if self.measure is None else self.measure[i, :T]


def predict_bags(tagger: Tagger, clips: Iterable[Clip], batch_size: int = 500) -> Iterator[Predicted]:
    """Yield predictions of clips in their order, in bounded memory for any number of clips.

    Args:
        tagger: the model, as `audiobag.load` returns it.
        clips: clips of any number of frames, as stored; `open_clips` reads them from files.
        batch_size: the most clips of a batch; batches of long clips are smaller.

    Raises:
        ValueError: the model does not take such frames.

    Examples:
        >>> for batch in predict_bags(audiobag.load("run.ckpt"), open_clips(Path("eval.h5"))):  # doctest: +SKIP
        ...     print(batch.probability.argmax(1))
    """
    check_whole("batch_size", batch_size)
    for batch in _batches(clips, batch_size):
        predicted = tagger.predict([clip.frames for clip in batch])
        p = predicted.measure
        yield Predicted(batch, predicted.clip.numpy(), predicted.frame.numpy(), None if p is None else p.numpy())


def _batches(clips: Iterable[Clip], batch_size: int) -> Iterator[list[Clip]]:
    batch: list[Clip] = []
    longest = 0
    for clip in clips:
        longest = max(longest, len(clip.frames))
        if batch and (len(batch) == batch_size or (len(batch) + 1) * longest > _MOST_FRAMES):
            yield batch
            batch, longest = [], len(clip.frames)
        batch.append(clip)
    if batch:
        yield batch
