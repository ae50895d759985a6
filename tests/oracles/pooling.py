"""The poolings in float64, one bag after another, straight from the equations."""

from __future__ import annotations

from collections.abc import Callable

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


def expectation(
    h: Array, lengths: NDArray[np.int64], W_f: Array, b_f: Array, weights: Callable[[Array, Array], Array]
) -> tuple[Array, Array, Array]:
    """Return clip, frame and measure, where `weights` maps h [L, H] and f [L, K] of a bag to v [L, K]."""
    B, T, _ = h.shape
    K = len(b_f)
    clip, frame, measure = np.zeros((B, K)), sigmoid(h @ W_f.T + b_f), np.zeros((B, T, K))
    for n, L in enumerate(lengths):
        f = frame[n, :L]
        v = weights(h[n, :L], f) * np.ones_like(f)
        measure[n, :L] = v / v.sum(0)
        clip[n] = (measure[n, :L] * f).sum(0)
    return clip, frame, measure


def top_k(f: Array, k: int) -> Array:
    """1 for the k largest f [L] of each class, the first of equal ones."""
    v = np.zeros_like(f)
    for c in range(f.shape[1]):
        v[np.argsort(-f[:, c], kind="stable")[:k], c] = 1
    return v


def in_stages(f: Array, lengths: list[int], weights: Callable[[Array], Array]) -> Array:
    """The weights p [L, K] of the frames by pooling groups of f [L, K], then groups of groups, then all."""
    if not lengths:
        v = weights(f) * np.ones_like(f)
        return v / v.sum(0)
    parts = [f[i : i + lengths[0]] for i in range(0, len(f), lengths[0])]
    within = [in_stages(part, [], weights) for part in parts]
    between = in_stages(np.array([(p * part).sum(0) for p, part in zip(within, parts)]), lengths[1:], weights)
    return np.concatenate([p * share for p, share in zip(within, between)])


def noisy_or(h: Array, lengths: NDArray[np.int64], W: Array, b: Array) -> tuple[Array, Array, None]:
    """1 - prod(1 - f)."""
    f = sigmoid(h @ W.T + b)
    return np.array([1 - np.prod(1 - f[n, :L], 0) for n, L in enumerate(lengths)]), f, None


def log_sum_exp(h: Array, lengths: NDArray[np.int64], W: Array, b: Array, r: float) -> tuple[Array, Array, Array]:
    """log(mean(exp(r f))) / r, and exp(r f) normalised."""
    f = sigmoid(h @ W.T + b)
    clip = np.array([np.log(np.exp(r * f[n, :L]).mean(0)) / r for n, L in enumerate(lengths)])
    measure = np.zeros_like(f)
    for n, L in enumerate(lengths):
        measure[n, :L] = np.exp(r * f[n, :L]) / np.exp(r * f[n, :L]).sum(0)
    return clip, f, measure


def millet(
    h: Array, lengths: NDArray[np.int64], parameters: dict[str, Array], *, before: bool
) -> tuple[Array, Array, Array]:
    """Mean of attention-weighted logits; `before` scales embedded frames, otherwise their logits."""
    hidden = np.tanh(h @ parameters["attention.0.weight"].T + parameters["attention.0.bias"])
    a = sigmoid(hidden @ parameters["attention.2.weight"].T + parameters["attention.2.bias"])
    W, b = parameters["classifier.weight"], parameters["classifier.bias"]
    z = (a * h) @ W.T + b if before else a * (h @ W.T + b)
    clip = np.array([sigmoid(z[n, :L].mean(0)) for n, L in enumerate(lengths)])
    measure = np.zeros_like(z)
    for n, L in enumerate(lengths):
        measure[n, :L] = a[n, :L] / a[n, :L].sum()
    return clip, sigmoid(z), measure
