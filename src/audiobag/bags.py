"""The two shapes that cross rooms: `Bags` go into a model, a `BagPrediction` comes out.

B counts the bags (clips) of a batch, T the frames of its longest bag, D the numbers of a frame as stored,
H those of an embedded frame, K the classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Bags:
    """A batch of bags.

    Attributes:
        frames: [B, T, D], in the store's dtype (uint8 for AudioSet); zero where a bag has ended.
        lengths: [B], how many of the T frames are real, 1 to T.
        labels: [B, K], true where the bag has the class.
        index: [B], which clips of the store these are.
    """

    frames: Shaped[Tensor, "B T D"]
    lengths: Int64[Tensor, " B"]
    labels: Bool[Tensor, "B K"]
    index: Int64[Tensor, " B"]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def mask(self) -> Bool[Tensor, "B T"]:
        """True on real frames, false on padding."""
        t = torch.arange(self.frames.shape[1], device=self.lengths.device)
        return t < self.lengths[:, None]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Bags:
        """Return the same bags on `device`."""
        moved = (x.to(device, non_blocking=non_blocking) for x in self._tensors())
        return Bags(*moved)

    def pin_memory(self) -> Bags:
        """Return the same bags in page-locked memory, for copies to a GPU that do not wait; what is there stays."""
        return Bags(*(x.pin_memory() if x.device.type == "cpu" else x for x in self._tensors()))

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.frames, self.lengths, self.labels, self.index


@dataclass(frozen=True, slots=True)
class BagPrediction:
    """What a model says of a batch of bags; probabilities in fp32 whatever the precision of training.

    Attributes:
        clip: F [B, K], the probability that the bag has the class.
        frame: f [B, T, K], the same of each instance.
        measure: p [B, T, K], how much each instance counts for each class: non-negative, 1 when summed over
            the real frames of a bag, exactly 0 on padding.
    """

    clip: Float[Tensor, "B K"]
    frame: Float[Tensor, "B T K"]
    measure: Float[Tensor, "B T K"]
