"""Embeddings in float64, straight from the equations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.oracles.embedded import dense, layer_norm, softmax
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


def lstm(parameters: dict[str, Array], x: Array) -> Array:
    """Return the states [T, H] of one layer in one direction for a bag x [T, D].

    W [4 H, D], U [4 H, H], b and c [4 H] hold the input gate, the forget gate, the new cell and the output gate.
    """
    W, U, b, c = (parameters[f"lstm.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, cell, states = np.zeros(U.shape[1]), np.zeros(U.shape[1]), []
    for frame in x:
        z = np.split(W @ frame + b + U @ h + c, 4)
        cell = sigmoid(z[1]) * cell + sigmoid(z[0]) * np.tanh(z[2])
        h = sigmoid(z[3]) * np.tanh(cell)
        states.append(h)
    return np.stack(states)


def residual_mlp(parameters: dict[str, Array], x: Array) -> Array:
    """Return h [T, H] of one bag; the first layer has no residual connection."""
    count = sum(name.endswith("dense.0.weight") for name in parameters)
    for i in range(count):
        z = dense(parameters, f"layers.{i}.dense.0", x)
        norm = f"layers.{i}.norm.0"
        if f"{norm}.weight" in parameters:
            scaled = (z - parameters[f"{norm}.running_mean"]) / np.sqrt(parameters[f"{norm}.running_var"] + 1e-5)
            z = scaled * parameters[f"{norm}.weight"] + parameters[f"{norm}.bias"]
        x = np.maximum(z, 0) + (x if i else 0)
    return x


def convolution(parameters: dict[str, Array], x: Array) -> Array:
    """Return h [T, H] of one bag; frames before its first and after its last are zero."""
    for i in range(sum(name.endswith(".weight") for name in parameters)):
        W, b = parameters[f"convolution.{i}.weight"], parameters[f"convolution.{i}.bias"]
        radius = W.shape[2] // 2
        h = np.tile(b, (len(x), 1))
        for t in range(len(x)):
            for s in range(-radius, radius + 1):
                if 0 <= t + s < len(x):
                    h[t] += W[:, :, s + radius] @ x[t + s]
        x = np.maximum(h, 0)
    return x


def transformer(heads: int, parameters: dict[str, Array], x: Array) -> Array:
    """Return h [T, H] of one bag, one head and one frame after another."""
    h = dense(parameters, "project", x)
    if "positions" in parameters:
        h = h + parameters["positions"][np.minimum(np.arange(len(x)), len(parameters["positions"]) - 1)]
    for i in range(sum(name.endswith("query.weight") for name in parameters)):
        layer = {name.removeprefix(f"layers.{i}."): value for name, value in parameters.items()}
        normed = layer_norm(layer, "attention_norm", h)
        of_heads = []
        for q, k, v in zip(*(np.split(dense(layer, name, normed), heads, 1) for name in ("query", "key", "value"))):
            of_heads.append(np.stack([softmax(k @ one / np.sqrt(len(one))) @ v for one in q]))
        h = h + dense(layer, "out", np.concatenate(of_heads, 1))
        hidden = np.maximum(dense(layer, "expand", layer_norm(layer, "norm", h)), 0)
        h = h + dense(layer, "contract", hidden)
    return layer_norm(parameters, "norm", h)
