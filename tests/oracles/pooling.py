"""The poolings of Kong et al. 2018 in float64, one bag after another, straight from the equations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pool(
    name: str,
    h: Array,
    lengths: NDArray[np.int64],
    W_f: Array,
    b_f: Array,
    W_v: Array | None = None,
    b_v: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Return clip F [B, K], frame f [B, T, K] and measure p [B, T, K] of embedded bags h [B, T, H].

    `name` is average, max, or the phi of an attention: relu, sigmoid, softmax. W_f and W_v are [K, H].
    """
    B, T, _ = h.shape
    K = len(b_f)
    clip, frame, measure = np.zeros((B, K)), np.zeros((B, T, K)), np.zeros((B, T, K))
    for n in range(B):
        for t in range(T):
            frame[n, t] = sigmoid(W_f @ h[n, t] + b_f)  # eq. 7
        real = range(lengths[n])
        for k in range(K):
            f = [frame[n, t, k] for t in real]
            if name == "average":
                v = [1.0 for _ in real]  # eq. 1: 1/L each
            elif name == "max":
                v = [1.0 if t == f.index(max(f)) else 0.0 for t in real]  # eq. 2
            else:
                v = [attention(name, W_v @ h[n, t] + b_v)[k] for t in real]  # eq. 8
            p = [v_t / sum(v) for v_t in v]  # eq. 6, 9
            measure[n, : lengths[n], k] = p
            clip[n, k] = sum(p_t * f_t for p_t, f_t in zip(p, f))  # eq. 4
    return clip, frame, measure


def attention(phi: str, z: Array) -> Array:
    """v = phi(z) for one instance's logits [K], clipped as the authors' code does."""
    if phi == "relu":
        v = np.maximum(z, 0)
    elif phi == "sigmoid":
        v = sigmoid(z)
    elif phi == "softmax":
        v = np.exp(z) / np.exp(z).sum()  # over the classes
    else:
        raise ValueError(f"no such phi: {phi}")
    return np.clip(v, 1e-7, 1 - 1e-7)


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))
