"""Embeddings g: frames to embedded frames, h = g(x)."""

from audiobag.embedding.gru import GRU
from audiobag.embedding.mlp import MLP, Identity

__all__ = ["GRU", "MLP", "Identity"]
