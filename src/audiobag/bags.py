"""The input and the output of a model: `Bags` and `BagPrediction`.

B is the number of bags (clips) of a batch, T the frames of its longest bag, D the numbers of a stored frame, H the
numbers of an embedded frame, and K the number of classes.
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
        frames: frames [B, T, D] in the dtype of the store (uint8 for AudioSet), zero on padding.
        lengths: number of real frames [B] of each bag, 1 to T.
        labels: [B, K], true where the bag has the class. In training an augmentation may make them numbers in [0, 1].
        index: number [B] of each clip in its data set.
    """

    frames: Shaped[Tensor, "B T D"]
    lengths: Int64[Tensor, " B"]
    labels: Bool[Tensor, "B K"] | Float[Tensor, "B K"]
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
        """Return the same bags in page-locked memory, for asynchronous copies to a GPU; tensors on a GPU stay there."""
        return Bags(*(x.pin_memory() if x.device.type == "cpu" else x for x in self._tensors()))

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.frames, self.lengths, self.labels, self.index


@dataclass(frozen=True, slots=True)
class BagPrediction:
    r"""The prediction for a batch of bags, in fp32 under any precision.

    The probability of a bag is an expectation if its pooling is an `Expectation`; the docstring of another pooling says
    what f and p are.

    $$F_k(B) = \sum_t p_k(x_t) f_k(x_t)$$

    Attributes:
        clip: F [B, K], the probability that the bag has the class.
        frame: f [B, T, K], the probability that the frame shows the class. A pooling without a classifier of frames
            gives the probability of the bag that holds this frame alone.
        measure: p [B, T, K], how much the frame counts for the class: non-negative, 1 when summed over the real frames
            of a bag, exactly 0 on padding. None for a pooling without a measure.
    """

    clip: Float[Tensor, "B K"]
    frame: Float[Tensor, "B T K"]
    measure: Float[Tensor, "B T K"] | None
