"""The whole model: dequantise, embed, pool."""

from __future__ import annotations

from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from audiobag.bags import BagPrediction


class BagClassifier(nn.Module):
    """F(B) = pooling(embedding(x * scale + offset)).

    Args:
        embedding: (x [B, T, D], mask [B, T]) -> h [B, T, H].
        pooling: (h [B, T, H], mask [B, T]) -> BagPrediction.
        scale: of the store; 1/128 for AudioSet.
        offset: of the store; -1 for AudioSet.
    """

    def __init__(self, embedding: nn.Module, pooling: nn.Module, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.pooling = pooling
        self.scale, self.offset = scale, offset

    def forward(self, frames: Shaped[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return the prediction for frames as stored; `mask` is true on real frames."""
        x = frames.float() * self.scale + self.offset
        prediction: BagPrediction = self.pooling(self.embedding(x, mask), mask)
        return prediction
