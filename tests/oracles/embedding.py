"""Embeddings in float64, straight from the equations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.oracles.pooling import sigmoid

Array = NDArray[np.float64]


def mlp(x: Array, layers: list[tuple[Array, Array]]) -> Array:
    """Return h [..., H] of frames x [..., D]; each layer is (W [out, in], b [out]), followed by a ReLU."""
    for W, b in layers:
        x = np.maximum(x @ W.T + b, 0)
    return x


def gru(x: Array, W: Array, U: Array, b: Array, c: Array) -> Array:
    """Return the states [T, H] for a bag x [T, D] (Cho et al., 2014).

    W [3 H, D], U [3 H, H], b and c [3 H] hold the reset gate, the update gate and the new state, one after another.
    """
    h, states = np.zeros(U.shape[1]), []
    for frame in x:
        of_x, of_h = np.split(W @ frame + b, 3), np.split(U @ h + c, 3)
        reset, update = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
        new = np.tanh(of_x[2] + reset * of_h[2])
        h = (1 - update) * new + update * h
        states.append(h)
    return np.stack(states)
