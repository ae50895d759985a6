"""Embeddings: modules that map frames x [B, T, D] and a mask [B, T] to embedded frames h [B, T, H]."""

from audiobag.embedding.convolution import Convolution
from audiobag.embedding.identity import Identity
from audiobag.embedding.mlp import MLP
from audiobag.embedding.recurrent import GRU, LSTM
from audiobag.embedding.residual_mlp import ResidualMLP
from audiobag.embedding.transformer import Transformer

__all__ = ["GRU", "LSTM", "MLP", "Convolution", "Identity", "ResidualMLP", "Transformer"]
