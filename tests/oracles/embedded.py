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


def bag_attention(parameters: Parameters, x: Array) -> Array:
    """F of one bag by (gated) attention."""
    p = bag_attention_measure(parameters, x)
    return sigmoid(dense(parameters, "output", sum(p[t] * x[t] for t in range(len(x)))))


def bag_attention_measure(parameters: Parameters, x: Array) -> Array:
    """p [L] of one bag."""
    hidden = np.tanh(dense(parameters, "hidden", x))
    if "gate.weight" in parameters:
        hidden = hidden * sigmoid(dense(parameters, "gate", x))
    return softmax(hidden @ parameters["attention.weight"][0])


def softmax(z: Array) -> Array:
    """e^z over its sum along the first dimension."""
    e = np.exp(z - z.max(0))
    return e / e.sum(0)


def expectation(parameters: Parameters, name: str, x: Array) -> tuple[Array, Array]:
    """F [K] and p [L, K] of one bag by the paper's sigmoid attention with the weights of `name`."""
    f = sigmoid(dense(parameters, f"{name}.classifier", x))
    v = np.clip(sigmoid(dense(parameters, f"{name}.measure.linear", x)), 1e-7, 1 - 1e-7)
    p = v / v.sum(0)
    return (p * f).sum(0), p


def multi_head(parameters: Parameters, x: Array) -> Array:
    """F of one bag by several heads."""
    w = softmax(parameters["weight"])
    return sum(w[i] * expectation(parameters, f"heads.{i}", x)[0] for i in range(len(w)))


def multi_head_measure(parameters: Parameters, x: Array) -> Array:
    """Mean attention [L, K] of the heads in one bag."""
    w = softmax(parameters["weight"])
    return sum(w[i] * expectation(parameters, f"heads.{i}", x)[1] for i in range(len(w)))


def levels(parameters: Parameters, x: Array, count: int) -> list[Array]:
    """The output of the embedding, and of each dense layer behind it."""
    outputs = [x]
    for i in range(count - 1):
        outputs.append(np.maximum(dense(parameters, f"levels.dense.{i}", outputs[-1]), 0))
    return outputs


def multi_level(parameters: Parameters, x: Array) -> Array:
    """F of one bag by attention at several levels."""
    count = sum(name.endswith("classifier.weight") for name in parameters)
    u = [expectation(parameters, f"poolings.{i}", h)[0] for i, h in enumerate(levels(parameters, x, count))]
    return sigmoid(dense(parameters, "output", np.concatenate(u)))


def dual_stream(parameters: Parameters, x: Array) -> tuple[Array, Array]:
    """F [K] and p [L, K] of one bag: the critical frame, and the frames that resemble it."""
    c, g, q = (dense(parameters, name, x) for name in ("instance", "bag", "query"))
    clip, measure = np.zeros(c.shape[1]), np.zeros(c.shape)
    for k in range(c.shape[1]):
        critical = int(np.argmax(c[:, k]))
        measure[:, k] = softmax(q @ q[critical] / np.sqrt(q.shape[1]))
        clip[k] = sigmoid(c[critical, k] / 2 + (measure[:, k] @ g[:, k]) / 2)
    return clip, measure


def layer_norm(parameters: Parameters, name: str, x: Array) -> Array:
    """Layer normalisation over the last dimension."""
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]


def set_transformer(heads: int, parameters: Parameters, x: Array) -> tuple[Array, Array]:
    """F [K] and the mean attention [L] of one bag, one seed and one head after another."""
    query = dense(parameters, "query", parameters["seeds"])
    key, value = dense(parameters, "key", x), dense(parameters, "value", x)
    seeds, attention = [], []
    for q in query:
        of_heads = []
        for q_j, k_j, v_j in zip(np.split(q, heads), np.split(key, heads, 1), np.split(value, heads, 1)):
            p = softmax(k_j @ q_j / np.sqrt(len(q_j)))
            attention.append(p)
            of_heads.append(p @ v_j)
        o = layer_norm(parameters, "norm", q + np.concatenate(of_heads))
        hidden = np.maximum(dense(parameters, "feed_forward", o), 0)
        seeds.append(layer_norm(parameters, "feed_forward_norm", o + hidden))
    return sigmoid(dense(parameters, "output", np.concatenate(seeds))), np.mean(attention, 0)


def gated_classifier(parameters: Parameters, u: Array) -> Array:
    """F of a descriptor through a dense layer and a context gate."""
    y = dense(parameters, "classifier.hidden", u)
    return sigmoid(dense(parameters, "classifier.output", y * sigmoid(dense(parameters, "classifier.gate", y))))


def netvlad(parameters: Parameters, h: Array) -> Array:
    """F of one bag from its deviations from the centres, one cluster after another."""
    x = dense(parameters, "project", h)
    a = softmax(dense(parameters, "assign", x).T).T
    of_clusters = []
    for c, centre in enumerate(parameters["centres"]):
        deviation = sum(a[t, c] * (x[t] - centre) for t in range(len(x)))
        of_clusters.append(deviation / np.linalg.norm(deviation))
    u = np.concatenate(of_clusters)
    return gated_classifier(parameters, u / np.linalg.norm(u))


def soft_dbof(parameters: Parameters, h: Array) -> Array:
    """F of one bag from the sum of its assignments."""
    u = softmax(dense(parameters, "assign", h).T).T.sum(0)
    return gated_classifier(parameters, u / np.linalg.norm(u))


def cosine(a: Array, b: Array) -> float:
    """Cosine of the angle between two vectors."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def prototypes(binary: bool, parameters: Parameters, x: Array) -> Array:
    """F of one bag from the largest similarity to each prototype."""
    of_prototypes = parameters["prototypes"]
    if binary:
        of_prototypes = np.where(of_prototypes >= 0, 1.0, -1.0)
    u = np.array([max(cosine(prototype, frame) for frame in x) for prototype in of_prototypes])
    return sigmoid(dense(parameters, "output", u))


def gated_prototypes(parameters: Parameters, x: Array) -> Array:
    """F of one bag from least, mean and largest similarity of a mixture of levels."""
    gate = softmax(parameters["gate"])
    mixture = sum(
        g * level / np.linalg.norm(level, axis=1, keepdims=True)
        for g, level in zip(gate, levels(parameters, x, len(gate)))
    )
    s = np.array([[frame @ one / np.linalg.norm(one) for one in parameters["prototypes"]] for frame in mixture])
    return sigmoid(dense(parameters, "output", np.concatenate([s.min(0), s.mean(0), s.max(0)])))


def measures(of_bag: Bag, h: Array, lengths: NDArray[np.int64], classes: int) -> Array:
    """Measure [B, T, K] from p [L] or [L, K] of each bag, 0 on padding."""
    measure = np.zeros((*h.shape[:2], classes))
    for n, length in enumerate(lengths):
        p = of_bag(h[n, :length])
        measure[n, :length] = p[:, None] if p.ndim == 1 else p
    return measure
