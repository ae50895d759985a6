"""Poolings of embedded bags in float64, one bag after another, straight from the equations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.oracles.pooling import sigmoid

Array = NDArray[np.float64]
Parameters = dict[str, Array]
Bag = Callable[[Array], Array]
"""Maps the real frames [L, H] of one bag to its probabilities [K]."""


def dense(parameters: Parameters, name: str, x: Array) -> Array:
    """W x + b for x [..., H]."""
    return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]


def bags(of_bag: Bag, h: Array, lengths: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return clip [B, K], and frame [B, T, K]: the probability of the bag that holds this frame alone."""
    clip = np.stack([of_bag(bag[:length]) for bag, length in zip(h, lengths)])
    frame = np.stack([[of_bag(x[None]) for x in bag] for bag in h])
    return clip, frame


def feature_attention(parameters: Parameters, x: Array) -> Array:
    """F of one bag: each feature j is a mean of values with the weights p_j."""
    a = np.clip(sigmoid(dense(parameters, "attention", x)), 1e-7, 1 - 1e-7)
    value = dense(parameters, "value", x)
    u = np.array([sum(a[t, j] * value[t, j] for t in range(len(x))) / a[:, j].sum() for j in range(a.shape[1])])
    return sigmoid(dense(parameters, "output", u))
