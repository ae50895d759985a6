"""Poolings with a learned codebook: NetVLAD and the soft bag of frames."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR, dense, full_precision, output_layer
from audiobag.utils.values import check_whole


class GatedClassifier(nn.Module):
    r"""Classifies the descriptor of a bag, through a dense layer and a context gate.

    $$y = W_y u + b_y, \qquad F = \sigma(W (y \odot \sigma(W_c y + b_c)) + b)$$

    The context gate lets features of the whole bag emphasise or suppress each other.

    Args:
        in_features: size of u.
        classes: K.
        hidden: size of y.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `hidden` or `prior` is out of range.
    """

    def __init__(self, in_features: int, classes: int, hidden: int, prior: float) -> None:
        super().__init__()
        check_whole("hidden", hidden)
        self.hidden = dense(in_features, hidden)
        self.gate = dense(hidden, hidden)
        self.output = output_layer(hidden, classes, prior)

    def forward(self, clip: Float[Tensor, "B U"], frame: Float[Tensor, "B T U"]) -> BagPrediction:
        """Return F of the bags, and of the bags that hold one frame alone, from their descriptors."""
        return BagPrediction(
            clip=full_precision(self.output, self._gated(clip)).float().sigmoid(),
            frame=self.output(self._gated(frame)).float().sigmoid(),
            measure=None,
        )

    def _gated(self, u: Float[Tensor, "*batch U"]) -> Float[Tensor, "*batch Y"]:
        y = self.hidden(u)
        gated: Tensor = y * self.gate(y).sigmoid()
        return gated


class NetVLAD(nn.Module):
    r"""Describes a bag by how its frames deviate from the centres of clusters.

    $$x_t = W_x h_t + b_x, \qquad a(x_t) = \mathrm{softmax}(W_a x_t + b_a), \qquad
    V_c = \sum_{t=1}^{T} a_c(x_t) (x_t - \mu_c)$$

    The deviations $V_c$ of each cluster are scaled to length 1 (intra-normalisation), then all of them together, and
    `GatedClassifier` classifies them. The source has batch normalisation in its layers and a mixture of experts at the
    end; this class has neither.

    The assignment belongs to clusters and not to classes, so the prediction has no measure. The probability of a frame
    is that of the bag that holds this frame alone.

    Args:
        in_features: H.
        classes: K.
        clusters: number of clusters.
        width: size of x.
        hidden: units of the dense layer after the deviations.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `clusters`, `width`, `hidden` or `prior` is out of range.

    References:
        Arandjelovic et al. (2016), "NetVLAD: CNN architecture for weakly supervised place recognition".
        Miech, Laptev and Sivic (2017), "Learnable pooling with context gating for video classification"
        (arXiv:1706.06905).
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        clusters: int = 16,
        width: int = 128,
        hidden: int = 512,
        prior: float = PRIOR,
    ) -> None:
        super().__init__()
        check_whole("clusters", clusters)
        check_whole("width", width)
        self.project = dense(in_features, width)
        self.assign = dense(width, clusters)
        self.centres = nn.Parameter(torch.empty(clusters, width))
        nn.init.normal_(self.centres, std=width**-0.5)
        self.classifier = GatedClassifier(clusters * width, classes, hidden, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f; the measure is None."""
        x = self.project(h)
        a = self.assign(x).float().softmax(-1) * mask[..., None]
        deviation = x.to(self.centres.dtype)[:, :, None] - self.centres
        bag = (a[..., None] * deviation).sum(1)
        # The assignment of a single frame cancels when its deviations are scaled.
        prediction: BagPrediction = self.classifier(_normalised(bag), _normalised(deviation))
        return prediction


def _normalised(deviation: Float[Tensor, "*batch C W"]) -> Float[Tensor, "*batch CW"]:
    return normalize(normalize(deviation, dim=-1).flatten(-2), dim=-1)


class SoftDBoF(nn.Module):
    r"""Describes a bag by how much of it falls into each of many clusters (soft deep bag of frames).

    $$a(x_t) = \mathrm{softmax}(W_a h_t + b_a), \qquad u = \frac{\sum_t a(x_t)}{\lVert \sum_t a(x_t) \rVert}$$

    `GatedClassifier` classifies u. The source has batch normalisation in its layers and a mixture of experts at the
    end; this class has neither. The prediction has no measure, since the assignment belongs to clusters and not to
    classes. The probability of a frame is that of the bag that holds this frame alone.

    Args:
        in_features: H.
        classes: K.
        clusters: number of clusters.
        hidden: units of the dense layer after the descriptor.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: `clusters`, `hidden` or `prior` is out of range.

    References:
        Miech, Laptev and Sivic (2017), "Learnable pooling with context gating for video classification"
        (arXiv:1706.06905).
    """

    def __init__(
        self, in_features: int, classes: int, clusters: int = 1024, hidden: int = 512, prior: float = PRIOR
    ) -> None:
        super().__init__()
        check_whole("clusters", clusters)
        self.assign = dense(in_features, clusters)
        self.classifier = GatedClassifier(clusters, classes, hidden, prior)

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F and f; the measure is None."""
        a = self.assign(h).float().softmax(-1)
        bag = normalize((a * mask[..., None]).sum(1), dim=-1)
        dtype = self.assign.weight.dtype
        prediction: BagPrediction = self.classifier(bag.to(dtype), normalize(a, dim=-1).to(dtype))
        return prediction
