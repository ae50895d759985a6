"""Hierarchical pooling: frames to segments, segments to longer segments, and these to the bag."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import output_layer
from audiobag.kernels.weighted_mean import weighted_mean
from audiobag.pooling.measure import Measure
from audiobag.utils.values import check_whole


class Hierarchical(nn.Module):
    r"""Applies a measure in stages: to the frames of each segment, then to the segments.

    A segment is `lengths[0]` consecutive frames. Its probability is the expectation of f under the measure, and the
    next stage treats segments as frames, with `lengths[1]` of them in a longer segment. The last stage pools what is
    left to the bag. With two stages, where g is the segment of frame t,

    $$f(g) = \sum_{t \in g} p(x_t \mid g) f(x_t), \qquad F(B) = \sum_g p(g \mid B) f(g),$$

    $$p(x_t \mid g) = \frac{v(x_t)}{\sum_{s \in g} v(x_s)}, \qquad p(g \mid B) = \frac{v(g)}{\sum_{g'} v(g')},$$

    separately for each class, with $f(x_t) = \sigma(W_f h_t + b_f)$. All stages share the measure and its parameters.
    The last segment of a bag may be shorter than the others. In a prediction, `frame` is f and `measure` is
    $p(g \mid B)\, p(x_t \mid g)$, under which F is the expectation of f.

    Args:
        in_features: H.
        classes: K.
        measure: makes the measure from (in_features, classes). The paper uses measures of f. One that reads h gets, for
            a segment, the mean of h over its frames.
        lengths: frames of a segment, then segments of a longer segment, and so on; each at least 2. There is one stage
            more than lengths.
        prior: initial probability of each class in a frame, in (0, 1).

    Raises:
        ValueError: a length is not a whole number of at least 2, or `prior` is not in (0, 1).

    References:
        He, Shen and Zhang (2019), "Hierarchical pooling structure for weakly labeled sound event detection",
        arXiv:1903.11791.
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        measure: Callable[[int, int], Measure],
        lengths: Sequence[int],
        prior: float = 0.5,
    ) -> None:
        super().__init__()
        for i, length in enumerate(lengths):
            check_whole(f"lengths[{i}]", length, 2)
        self.lengths = tuple(lengths)
        self.classifier = output_layer(in_features, classes, prior)
        self.measure = measure(in_features, classes)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        f = self.classifier(h).float().sigmoid()
        clip, p = self._pool(h, f, mask, self.lengths)
        return BagPrediction(clip=clip.clamp(max=1), frame=f, measure=p)

    def _pool(self, h: Tensor, f: Tensor, mask: Tensor, lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        if not lengths:
            return weighted_mean(f, self.measure(h, f, mask), mask)
        (B, T, K), size = f.shape, lengths[0]
        count = (T + size - 1) // size
        missing = count * size - T
        h, f = (pad(x, (0, 0, 0, missing)).reshape(B * count, size, x.shape[2]) for x in (h, f))
        mask = pad(mask, (0, missing)).reshape(B * count, size)
        real = mask.any(1)
        mask = mask | ~real[:, None]  # a measure needs a real frame; the next stage drops segments without one
        of_segment, within = weighted_mean(f, self.measure(h, f, mask), mask)
        share = (mask / mask.sum(1, keepdim=True)).to(h.dtype)
        mean_h = (share[:, None] @ h).view(B, count, -1)
        clip, between = self._pool(mean_h, of_segment.view(B, count, K), real.view(B, count), lengths[1:])
        return clip, (between[:, :, None] * within.view(B, count, size, K)).view(B, count * size, K)[:, :T]
