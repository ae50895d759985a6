"""The average of the k most probable frames as a measure."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from audiobag.pooling.max import first_of_the_largest
from audiobag.pooling.measure import Measure
from audiobag.utils.values import check_whole


class TopK(Measure):
    r"""The k frames with the largest f count the same, the others not at all; of equal frames, the first count.

    $$v_k(x_t) = \begin{cases} 1 & \text{if } x_t \text{ is among the } k \text{ frames with the largest } f_k
    \\ 0 & \text{otherwise} \end{cases}$$

    All frames of a bag count if it has k or fewer. k = 1 is max pooling.

    Args:
        in_features: H.
        classes: K.
        k: number of frames.

    Raises:
        ValueError: `k` is not a whole number of at least 1.
    """

    def __init__(self, in_features: int, classes: int, k: int = 3) -> None:
        super().__init__(in_features, classes)
        check_whole("k", k)
        self.k = k

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v, which has no gradient."""
        rest = f.detach().masked_fill(~mask[..., None], -1.0)
        chosen = first_of_the_largest(rest)
        for _ in range(self.k - 1):
            rest = rest.masked_fill(chosen, -1.0)
            chosen = chosen | first_of_the_largest(rest)
        return chosen.float()
