"""The core: a stream of clips through a model, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiobag.export import Tagger
from audiobag.prepare.records import Clip
from audiobag.values import check_whole

# Frames of a padded batch: with AudioSet's 527 classes each of f and p then takes 35 MB.
_MOST_FRAMES = 2**14


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model says of B clips.

    Attributes:
        clips: the B clips.
        probability: F [B, K].
        frame: f [B, T, K]; of what lies beyond a clip's own frames nothing is said.
        measure: p [B, T, K].
    """

    clips: Sequence[Clip]
    probability: NDArray[np.float32]
    frame: NDArray[np.float32]
    measure: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.clips)

    def frames(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return f and p [T_i, K] of clip i of these."""
        T = len(self.clips[i].frames)
        return self.frame[i, :T], self.measure[i, :T]


def predict_bags(tagger: Tagger, clips: Iterable[Clip], batch_size: int = 500) -> Iterator[Predicted]:
    """Yield predictions of clips, in their order, in bounded memory whatever their number.

    Args:
        tagger: the model, as `audiobag.load` gives it.
        clips: each of its own number of frames, as stored; `open_clips` reads them from files.
        batch_size: the most clips at once; where they are long, fewer are taken.

    Raises:
        UserError: frames that the model does not take.

    Example:
        >>> for batch in predict_bags(audiobag.load("run.ckpt"), open_clips(Path("eval.h5"))):  # doctest: +SKIP
        ...     print(batch.probability.argmax(1))
    """
    check_whole("batch_size", batch_size)
    for batch in _batches(clips, batch_size):
        said = tagger.predict([clip.frames for clip in batch])
        yield Predicted(batch, said.clip.numpy(), said.frame.numpy(), said.measure.numpy())


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
