"""The classes of the synthetic data set: how often they occur, how long they last, and what they sound like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

CLASSES, DIM, MAX_FRAMES = 527, 128, 10
SPEECH, MUSIC, AFTER_MUSIC = 0, 137, 283
BRIEF, _MEDIUM, _THROUGHOUT = (1, 3), (4, 8), (MAX_FRAMES, MAX_FRAMES)
BACKGROUNDS = 24
SOUND = 12.0
"""Length of a sound's direction, in units of the spread of a component. Noise of that spread has length 11.3."""

_MODEL_SEED = 2018
_PERSISTENCE = (0.55, 0.3, 0.15)
_BACKGROUND, _NOISE = 4.0, 0.4
_TIMBRES = 32
_FAMILY_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Sounds:
    """K classes, C shared backgrounds, D components.

    Attributes:
        parent: [K], first class of the family of each class.
        cumulative: [K], cumulative prior.
        shortest: [K], minimum number of frames of a sound.
        longest: [K], maximum number of frames of a sound.
        direction: [K, D], vector that a sound adds to a frame.
        background: [C, D].
        spread: [D], standard deviation before clipping to eight bits.
        mean: [D].
        slow: [D], standard deviation of the component that all frames of a clip share.
        fast: [D], standard deviation of the component that is drawn for each frame.
    """

    parent: NDArray[np.int64]
    cumulative: NDArray[np.float64]
    shortest: NDArray[np.int64]
    longest: NDArray[np.int64]
    direction: NDArray[np.float32]
    background: NDArray[np.float32]
    spread: NDArray[np.float32]
    mean: NDArray[np.float32]
    slow: NDArray[np.float32]
    fast: NDArray[np.float32]


@cache
def sounds() -> Sounds:
    """Draw the classes and backgrounds, with a fixed seed."""
    rng = default_rng(_MODEL_SEED)
    families = np.cumsum(rng.integers(5, 15, CLASSES))
    heads = np.union1d(families[families < CLASSES], [SPEECH, MUSIC, AFTER_MUSIC])
    parent = heads[np.searchsorted(heads, np.arange(CLASSES), side="right") - 1]
    prior = 1 / (3.0 + rng.permutation(CLASSES))
    kind = rng.choice(3, CLASSES, p=_PERSISTENCE)
    kind[[SPEECH, MUSIC]] = 1, 2
    extent = np.array([BRIEF, _MEDIUM, _THROUGHOUT])[kind]
    timbres = unit(rng.standard_normal((_TIMBRES, DIM)))
    own, family = unit(rng.standard_normal((2, CLASSES, _TIMBRES)))
    own[heads] = 0
    direction = unit(_mix(blend(family[parent], own), timbres))
    background = unit(rng.standard_normal((BACKGROUNDS, DIM)))
    spread, memory = np.linspace(64, 110, DIM), np.linspace(0.75, 0.3, DIM)
    mean = 126 + rng.standard_normal(DIM) * np.linspace(20, 5, DIM)
    vectors = (
        direction * spread * SOUND,
        background * spread * _BACKGROUND,
        spread,
        mean,
        np.sqrt(memory) * spread * _NOISE,
        np.sqrt(1 - memory) * spread * _NOISE,
    )
    cumulative = np.cumsum(prior) / prior.sum()
    return Sounds(parent, cumulative, extent[:, 0], extent[:, 1], *(v.astype(np.float32) for v in vectors))


def blend(family: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    """Return directions whose component along their family is `_FAMILY_SHARE`."""
    return family * _FAMILY_SHARE + own * float(np.sqrt(1 - _FAMILY_SHARE**2))


def _mix(weights: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `weights @ vectors`, summed in a fixed order."""
    return reduce(np.add, (w[:, None] * v for w, v in zip(weights.T, vectors, strict=True)))


def unit(x: NDArray[Any]) -> NDArray[Any]:
    """Return vectors [..., D] scaled to length 1."""
    scaled: NDArray[Any] = x / np.sqrt((x * x).sum(-1, keepdims=True))
    return scaled
