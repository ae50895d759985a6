"""The dense layer of the paper's systems."""

from __future__ import annotations

from torch import nn


def dense(in_features: int, out_features: int) -> nn.Linear:
    """Return y = W x + b, begun as the authors' code (Keras) begins it: W by Glorot's uniform rule, b at 0.

    Glorot and Bengio (2010): W ~ U(-a, a), a = sqrt(6 / (in_features + out_features)). torch's own default draws
    weights a third as strong in variance, and a network of several such layers is slow to get going.
    """
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
