"""Embeddings: modules that map frames x [B, T, D] and a mask [B, T] to embedded frames h [B, T, H]."""

from audiobag.embedding.gru import GRU
from audiobag.embedding.identity import Identity
from audiobag.embedding.mlp import MLP

__all__ = ["GRU", "MLP", "Identity"]
