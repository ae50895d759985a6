"""Hierarchical pooling as a measure: frames to segments, segments to longer segments, and these to the bag."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from audiobag.pooling.measure import Measure
from audiobag.utils.values import check_whole


class Hierarchical(Measure):
    r"""Applies another measure in stages: to the frames of each segment, then to the segments.

    A segment is `lengths[0]` consecutive frames. Its probability is the expectation of f under the inner measure, and
    the next stage treats segments as frames, with `lengths[1]` of them in a longer segment. The last stage pools what
    is left to the bag. With two stages, where g is the segment of frame t,

    $$p(x_t) = p(g \mid B)\, p(x_t \mid g), \qquad
    p(x_t \mid g) = \frac{v(x_t)}{\sum_{s \in g} v(x_s)}, \qquad
    p(g \mid B) = \frac{v(g)}{\sum_{g'} v(g')},$$

    separately for each class. All stages share the inner measure and its parameters. The last segment of a bag may be
    shorter than the others. The bag is still an expectation over frames, so that `Expectation` takes this measure.

    Args:
        in_features: H.
        classes: K.
        measure: makes the inner measure from (in_features, classes). The paper uses measures of f. One that reads h
            gets, for a segment, the mean of h over its frames.
        lengths: frames of a segment, then segments of a longer segment, and so on; each at least 2. There is one stage
            more than lengths.

    Raises:
        ValueError: a length is not a whole number of at least 2.

    References:
        He, Shen and Zhang (2019), "Hierarchical pooling structure for weakly labeled sound event detection",
        arXiv:1903.11791.
    """

    def __init__(
        self, in_features: int, classes: int, measure: Callable[[int, int], Measure], lengths: Sequence[int]
    ) -> None:
        super().__init__(in_features, classes)
        for i, length in enumerate(lengths):
            check_whole(f"lengths[{i}]", length, 2)
        self.lengths = tuple(lengths)
        self.measure = measure(in_features, classes)

    def forward(
        self, h: Float[Tensor, "B T H"], f: Float[Tensor, "B T K"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T K"]:
        """Return v, which is p up to rounding."""
        return self._weights(h, f, mask, self.lengths)

    def _weights(self, h: Tensor, f: Tensor, mask: Tensor, lengths: tuple[int, ...]) -> Tensor:
        if not lengths:
            return _normalised(self.measure(h, f, mask), mask)
        B, T, K = f.shape
        size = lengths[0]
        segments = (T + size - 1) // size
        missing = segments * size - T
        h, f = (pad(x, (0, 0, 0, missing)).reshape(B * segments, size, x.shape[2]) for x in (h, f))
        mask = pad(mask, (0, missing)).reshape(B * segments, size)
        real = mask.any(1)
        mask = mask | ~real[:, None]  # a measure needs a real frame; segments without one are dropped below
        within = _normalised(self.measure(h, f, mask), mask)
        of_segment = (within * f).sum(1)
        count = mask.sum(1, keepdim=True)
        mean_h = (h * mask[..., None]).sum(1) / count
        between = self._weights(
            mean_h.view(B, segments, -1), of_segment.view(B, segments, K), real.view(B, segments), lengths[1:]
        )
        weights = between.reshape(B * segments, 1, -1) * within
        return weights.reshape(B, segments * size, -1)[:, :T].expand(B, T, K)


def _normalised(v: Tensor, mask: Tensor) -> Tensor:
    v = v * mask[..., None]
    return v / v.sum(1, keepdim=True)
