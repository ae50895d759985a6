"""Dual-stream pooling: the critical frame, and the frames that resemble it."""

from __future__ import annotations

import math

from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, dense, output_layer
from audiobag.kernels.masked_softmax import masked_softmax
from audiobag.pooling.max import first_of_the_largest
from audiobag.utils.values import check_whole


class DualStream(nn.Module):
    r"""Averages the logits of max pooling and of an attention to the frames that resemble the critical frame (DSMIL).

    The first stream finds the critical frame $m_k$ of each class, and the second compares all frames with it:

    $$c(x_t) = W_c h_t + b_c, \qquad m_k = \arg\max_t c_k(x_t), \qquad
    p_k(x_t) = \frac{e^{q_t^\top q_{m_k} / \sqrt{Q}}}{\sum_s e^{q_s^\top q_{m_k} / \sqrt{Q}}}, \qquad
    q_t = W_q h_t + b_q$$

    $$F_k(B) = \sigma\left(\tfrac{1}{2} c_k(x_{m_k}) + \tfrac{1}{2} \sum_{t=1}^{T} p_k(x_t) g_k(x_t)\right),
    \qquad g(x_t) = W_g h_t + b_g$$

    The source lets the embedding of each class vote for all classes, which takes $K^2 H$ weights; here each class reads
    its own embedding. The probability of a frame is that of the first stream, $\sigma(c_k(x_t))$, and the measure is p.

    Args:
        in_features: H.
        classes: K.
        width: Q, the size of a query.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `width` or `prior` is out of range.

    References:
        Li, Li and Eliceiri (2021), "Dual-stream multiple instance learning network for whole slide image classification
        with self-supervised contrastive learning" (arXiv:2011.08939).
    """

    def __init__(self, in_features: int, classes: int, width: int = 128, prior: float = PRIOR) -> None:
        super().__init__()
        check_whole("width", width)
        self.instance = output_layer(in_features, classes, prior)
        self.query = dense(in_features, width)
        self.bag = output_layer(in_features, classes, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        c = self.instance(h).float()
        # 1 for m_k, 0 for the others
        critical = first_of_the_largest(c.detach().masked_fill(~mask[..., None], float("-inf"))).float()
        q = self.query(h)
        similarity = (q @ q.mT) / math.sqrt(q.shape[-1])
        p = masked_softmax(similarity @ critical.to(similarity.dtype), mask)
        bag = (p * self.bag(h).float()).sum(1)
        clip = (((critical * c).sum(1) + bag) / 2).sigmoid()
        return BagPrediction(clip=clip, frame=c.sigmoid(), measure=p)
