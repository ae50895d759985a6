"""Log-mel spectra, VGGish and its post-processing in NumPy with float64, straight from their definitions."""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping

import numpy as np


def log_mel(
    wave: np.ndarray,
    rate: int = 16_000,
    bands: int = 64,
    low: float = 125.0,
    high: float = 7500.0,
    length: int = 400,
    hop: int = 160,
    size: int = 512,
    epsilon: float = 0.01,
) -> np.ndarray:
    """Return [T, bands]; the Fourier transform is a matrix of its own."""
    n = np.arange(length)
    window = 0.5 - 0.5 * np.cos(2 * math.pi * n / length)
    fourier = np.exp(-2j * math.pi * np.outer(np.arange(size // 2 + 1), n) / size)
    mel = [1127 * math.log(1 + f / 700) for f in (low, high)]
    edges = [mel[0] + (mel[1] - mel[0]) * i / (bands + 1) for i in range(bands + 2)]
    bank = np.zeros((size // 2 + 1, bands))
    for k in range(1, size // 2 + 1):
        at = 1127 * math.log(1 + k * rate / size / 700)
        for b in range(bands):
            left, centre, right = edges[b : b + 3]
            if left < at <= centre:
                bank[k, b] = (at - left) / (centre - left)
            elif centre < at < right:
                bank[k, b] = (right - at) / (right - centre)
    starts = range(0, len(wave) - length + 1, hop)
    spectra = [np.abs(fourier @ (wave[s : s + length] * window)) for s in starts]
    return np.log(np.array(spectra) @ bank + epsilon)


def vggish(spectra: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return [128] for spectra [96, 64] and TensorFlow's variables: channels last, no ReLU at the end."""
    x = spectra[:, :, None].astype(np.float64)
    for scope, halve in (
        ("conv1", True),
        ("conv2", True),
        ("conv3/conv3_1", False),
        ("conv3/conv3_2", True),
        ("conv4/conv4_1", False),
        ("conv4/conv4_2", True),
    ):
        kernel, bias = weights[f"vggish/{scope}/weights"], weights[f"vggish/{scope}/biases"]
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        rows, columns, _ = x.shape
        shifted = (padded[i : i + rows, j : j + columns] @ kernel[i, j] for i in range(3) for j in range(3))
        x = np.maximum(sum(shifted) + bias, 0)
        if halve:
            x = x.reshape(rows // 2, 2, columns // 2, 2, -1).max((1, 3))
    x = x.ravel()
    for scope, relu in (("fc1/fc1_1", True), ("fc1/fc1_2", True), ("fc2", False)):
        x = x @ weights[f"vggish/{scope}/weights"] + weights[f"vggish/{scope}/biases"]
        x = np.maximum(x, 0) if relu else x
    return x


def quantised(x: np.ndarray, vectors: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the numbers before the cut to 8 bits, so that a test can see how near each is to the next."""
    return (np.clip(vectors @ (x - means), -2, 2) + 2) * 255 / 4


def tone(frequency: float, seconds: float, rate: int) -> np.ndarray:
    """Return a sine as the imaginary part of powers of a complex number."""
    step = cmath.exp(2j * math.pi * frequency / rate)
    return np.array([step**n for n in range(round(seconds * rate))]).imag
