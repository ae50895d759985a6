"""A dense layer with Glorot initialisation."""

from __future__ import annotations

from torch import nn


def dense(in_features: int, out_features: int) -> nn.Linear:
    r"""Return a linear layer, initialised as Keras does in the authors' code.

    $$y = W x + b, \qquad W_{ij} \sim U(-a, a), \quad a = \sqrt{\frac{6}{D_\text{in} + D_\text{out}}}, \quad b = 0$$

    torch's default initialisation has a third of this variance, and a network of several such layers learns slowly
    at first.

    Args:
        in_features: $D_\text{in}$.
        out_features: $D_\text{out}$.

    References:
        Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
    """
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
