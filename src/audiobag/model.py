"""The model: dequantise, embed, pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from audiobag.bags import BagPrediction

_SMALLEST: Final = 1e-7  # probabilities are clipped to [1e-7, 1 - 1e-7] before their logits are averaged


class BagClassifier(nn.Module):
    r"""Classifies bags of frames.

    $$F(B) = \mathrm{pooling}(\mathrm{embedding}(x \cdot \mathrm{scale} + \mathrm{offset}))$$

    Args:
        embedding: maps x [B, T, D] and mask [B, T] to h [B, T, H].
        pooling: maps h [B, T, H] and mask [B, T] to a `BagPrediction`.
        scale: factor that dequantises a stored frame; 1/128 for AudioSet.
        offset: summand that dequantises a stored frame; -1 for AudioSet.
    """

    def __init__(self, embedding: nn.Module, pooling: nn.Module, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.pooling = pooling
        self.scale, self.offset = scale, offset

    def forward(self, frames: Shaped[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return the prediction for frames as stored; `mask` is true on real frames and false on padding."""
        x = frames.float() * self.scale + self.offset
        prediction: BagPrediction = self.pooling(self.embedding(x, mask), mask)
        return prediction


class Ensemble(nn.Module):
    r"""Averages the predictions of several classifiers of the same frames and classes.

    $$F_k(B) = \sigma\Big(\frac{1}{M} \sum_m \mathrm{logit}\, F^{(m)}_k(B)\Big)$$

    and the same for the frame probabilities f. There is no measure: F is not an expectation of f.

    Args:
        members: the classifiers.
    """

    def __init__(self, members: Sequence[BagClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, frames: Shaped[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return the prediction for frames as stored; `mask` is true on real frames and false on padding."""
        predictions: list[BagPrediction] = [member(frames, mask) for member in self.members]
        frame = mean_of_logits([one.frame for one in predictions])
        return BagPrediction(mean_of_logits([one.clip for one in predictions]), frame * mask[:, :, None], None)


def mean_of_logits(probabilities: Sequence[Float[Tensor, "*S"]]) -> Float[Tensor, "*S"]:
    """Return the probabilities whose logits are the means of the logits of some probabilities.

    Probabilities are clipped to [1e-7, 1 - 1e-7], so that no member alone decides.
    """
    logits = [torch.logit(p, eps=_SMALLEST) for p in probabilities]
    return torch.sigmoid(torch.stack(logits).mean(0))


def build_model(
    embedding: Callable[..., nn.Module],
    pooling: Callable[..., nn.Module],
    *,
    dim: int,
    classes: int,
    scale: float = 1.0,
    offset: float = 0.0,
) -> BagClassifier:
    """Return a model for frames of a known width and a known number of classes.

    Args:
        embedding: called with `in_features=dim`; its result has the attribute `out_features`.
        pooling: called with `in_features` (the embedding's `out_features`) and `classes`.
        dim: D, the numbers of a stored frame.
        classes: K.
        scale: see `BagClassifier`.
        offset: see `BagClassifier`.

    Examples:
        >>> from functools import partial
        >>> from audiobag.embedding import MLP
        >>> from audiobag.pooling import Expectation, SoftmaxAttention
        >>> model = build_model(MLP, partial(Expectation, measure=SoftmaxAttention), dim=128, classes=527)
    """
    embedded: Any = embedding(in_features=dim)
    return BagClassifier(embedded, pooling(in_features=embedded.out_features, classes=classes), scale, offset)
