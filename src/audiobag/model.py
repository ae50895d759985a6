"""The model: dequantise, embed, pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from audiobag.bags import BagPrediction


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
