"""The softmax over the real frames of a bag."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def masked_softmax(z: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T K"]:
    r"""Return the weights of the frames, in fp32 and exactly 0 on padding.

    $$p_t = \frac{e^{z_t}}{\sum_s e^{z_s}}$$

    Args:
        z: logits; their values on padding are ignored.
        mask: true on real frames; each bag has at least one.
    """
    return z.float().masked_fill(~mask[..., None], float("-inf")).softmax(1)
