"""What the embedded data set sounds like: clips drawn, a chunk at a time, from a model of AudioSet.

A clip is a bag of frames of background in which sounds begin and end. A sound adds its class's direction to the
frames it covers, and to no others: they are its witnesses.

- *Prior.* Music and speech lie in more than a quarter of the clips; the other classes fall off by Zipf's law, to a
  floor in the curated splits, which hold the same number of clips drawn for each class, as AudioSet's do.
- *Co-occurrence.* Runs of neighbouring classes are families (AudioSet numbers its classes down the ontology, so
  they nearly are); the first class of a family is the parent of the others and mostly labelled where they are.
- *Persistence.* Most classes show in 1 to 3 frames, some in 4 to 8, a few, music above all, in all.
- *What misleads.* The sounds of a family are alike, loudness varies, sounds without a label resemble a family, and
  each clip has a background of its own near one of those that all clips share. So a maximum over the frames picks
  what misleads, and an average dilutes what is brief.

The frames' statistics follow the real features: whitened principal components clipped to eight bits, whose spread
grows and whose memory from frame to frame fades towards the higher components.

All randomness comes from (seed, split, chunk): any chunk can be made alone. Frames are elementwise sums and not
matrix products, which round differently from machine to machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

CLASSES, DIM, MAX_FRAMES = 527, 128, 10
SPLITS = ("bal_train", "eval", "unbal_train")
CHUNK_CLIPS = 2 * CLASSES
"""Clips of a chunk: in the curated splits each class is drawn twice."""

_CURATED = ("bal_train", "eval")
_SPEECH, _MUSIC, _AFTER_MUSIC = 0, 137, 283
_MODEL_SEED = 2018

_FULL_LENGTH = 0.98
_PARENT_LABELLED = 0.8
_SECOND, _SPEECH_RATE, _MUSIC_RATE, _MUSIC_UNDER_MUSICAL = 0.45, 0.26, 0.1, 0.8
_BRIEF, _MEDIUM, _THROUGHOUT = (1, 3), (4, 8), (MAX_FRAMES, MAX_FRAMES)
_PERSISTENCE = (0.55, 0.3, 0.15)
_RECURS = 0.6

# Lengths of vectors are in units of a component's spread; a frame's own noise has length 11.3 where it is 1.
_SOUND, _BACKGROUND, _NOISE = 12.0, 4.0, 0.4
_BACKGROUNDS = 24
_TIMBRES = 32
_MASKED = 0.5
_FAMILY_SHARE = 0.6
_DECOY_RATE = 0.5
_LOUDNESS = (0.6, 1.4)


class Chunk(NamedTuple):
    """N clips; the ragged columns are as in `audiobag.store`.

    Attributes:
        video_id: [N] bytes, 11 characters each, ascending from chunk to chunk, without repeats over all splits.
        frames: [N, 10, 128], zero where a bag has ended.
        lengths: [N], 1 to 10.
        start_seconds: [N].
        label_ids: [P].
        label_offsets: [N + 1].
        witness_frames: [W].
        witness_offsets: [P + 1].
    """

    video_id: NDArray[Any]
    frames: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    start_seconds: NDArray[np.int64]
    label_ids: NDArray[np.int64]
    label_offsets: NDArray[np.int64]
    witness_frames: NDArray[np.int64]
    witness_offsets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sounds:
    """What holds for all clips: K classes, C shared backgrounds, D components.

    Attributes:
        parent: [K], the first class of each class's family.
        cumulative: [K], the cumulative prior.
        shortest: [K], frames that a sound of the class covers at least.
        longest: [K], and at most.
        direction: [K, D], what a sound adds to a frame.
        background: [C, D].
        spread: [D], standard deviation before clipping to eight bits.
        mean: [D].
        slow: [D], the standard deviation of what is the same in all frames of a clip.
        fast: [D], and of what is a frame's own.
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


class _Shown(NamedTuple):
    """Sounds in time: frame `frame` of clip `clip` shows class `label`, so loud; no two entries share a frame."""

    clip: NDArray[np.int64]
    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    loudness: NDArray[np.float32]


@cache
def sounds() -> Sounds:
    """Draw the classes and the backgrounds; always the same ones."""
    rng = default_rng(_MODEL_SEED)
    families = np.cumsum(rng.integers(5, 15, CLASSES))
    heads = np.union1d(families[families < CLASSES], [_SPEECH, _MUSIC, _AFTER_MUSIC])
    parent = heads[np.searchsorted(heads, np.arange(CLASSES), side="right") - 1]
    prior = 1 / (3.0 + rng.permutation(CLASSES))
    kind = rng.choice(3, CLASSES, p=_PERSISTENCE)
    kind[[_SPEECH, _MUSIC]] = 1, 2
    extent = np.array([_BRIEF, _MEDIUM, _THROUGHOUT])[kind]
    timbres = _unit(rng.standard_normal((_TIMBRES, DIM)))
    own, family = _unit(rng.standard_normal((2, CLASSES, _TIMBRES)))
    own[heads] = 0
    direction = _unit(_mix(_blend(family[parent], own), timbres))
    background = _unit(rng.standard_normal((_BACKGROUNDS, DIM)))
    spread, memory = np.linspace(64, 110, DIM), np.linspace(0.75, 0.3, DIM)
    mean = 126 + rng.standard_normal(DIM) * np.linspace(20, 5, DIM)
    vectors = (
        direction * spread * _SOUND,
        background * spread * _BACKGROUND,
        spread,
        mean,
        np.sqrt(memory) * spread * _NOISE,
        np.sqrt(1 - memory) * spread * _NOISE,
    )
    cumulative = np.cumsum(prior) / prior.sum()
    return Sounds(parent, cumulative, extent[:, 0], extent[:, 1], *(v.astype(np.float32) for v in vectors))


def make_chunk(seed: int, split: str, chunk: int) -> Chunk:
    """Make the clips of one chunk: a pure function of its arguments.

    Args:
        seed: of the clips; the classes and backgrounds are the same for every seed.
        split: one of `SPLITS`; all but `unbal_train` are curated.
        chunk: from 0 to 4,095.
    """
    rng = default_rng((seed, SPLITS.index(split), chunk))
    short = rng.integers(1, MAX_FRAMES, CHUNK_CLIPS)
    lengths = np.where(rng.random(CHUNK_CLIPS) < _FULL_LENGTH, MAX_FRAMES, short)
    shown = [_place(rng, classes, lengths) for classes in _choose(rng, curated=split in _CURATED)]
    start_seconds = 10 * rng.integers(0, 30, CHUNK_CLIPS)
    return Chunk(
        _video_ids(SPLITS.index(split), chunk),
        _frames(rng, shown, lengths),
        lengths,
        start_seconds,
        *_labels(rng, shown),
    )


def _choose(rng: Generator, *, curated: bool) -> list[NDArray[np.int64]]:
    """Return up to four classes for each clip, [N] each, -1 for none: two of any kind, music, speech."""
    first = rng.permutation(CHUNK_CLIPS) % CLASSES if curated else _draw(rng)
    second = np.where(rng.random(CHUNK_CLIPS) < _SECOND, _draw(rng), -1)
    musical = (first >= _MUSIC) & (first < _AFTER_MUSIC)
    music = rng.random(CHUNK_CLIPS) < np.where(musical, _MUSIC_UNDER_MUSICAL, _MUSIC_RATE)
    speech = rng.random(CHUNK_CLIPS) < _SPEECH_RATE
    return [first, second, np.where(music, _MUSIC, -1), np.where(speech, _SPEECH, -1)]


def _draw(rng: Generator) -> NDArray[np.int64]:
    return np.searchsorted(sounds().cumulative[:-1], rng.random(CHUNK_CLIPS), side="right")


def _place(rng: Generator, classes: NDArray[np.int64], lengths: NDArray[np.int64]) -> _Shown:
    """Give each clip's sound (where its class is not -1) its frames, in one run, and its loudness."""
    model = sounds()
    covered = _span(rng, model.shortest[classes], model.longest[classes], lengths)
    again = rng.random(CHUNK_CLIPS) < _RECURS
    covered |= _span(rng, model.shortest[classes], model.longest[classes], lengths) & again[:, None]
    covered &= (classes >= 0)[:, None]
    loudness = rng.uniform(*_LOUDNESS, CHUNK_CLIPS).astype(np.float32)
    clip, frame = np.nonzero(covered)
    return _Shown(clip, frame, classes[clip], loudness[clip])


def _span(rng: Generator, shortest: Any, longest: Any, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return [N, T], true in one run of `shortest` to `longest` frames, where the bag has as many."""
    extent = np.minimum(rng.integers(shortest, longest, CHUNK_CLIPS, endpoint=True), lengths)
    begin = rng.integers(0, lengths - extent, endpoint=True)[:, None]
    t = np.arange(MAX_FRAMES)
    return (t >= begin) & (t < begin + extent[:, None])


def _labels(rng: Generator, shown: list[_Shown]) -> tuple[NDArray[np.int64], ...]:
    """Return label_ids, label_offsets, witness_frames, witness_offsets: what sounds, and most of its parents."""
    showing = np.zeros((CHUNK_CLIPS, CLASSES, MAX_FRAMES), np.bool_)
    for clip, frame, label, _ in shown:
        showing[clip, label, frame] = True
        told = (rng.random(CHUNK_CLIPS) < _PARENT_LABELLED)[clip]
        showing[clip[told], sounds().parent[label[told]], frame[told]] = True
    ordered = np.flatnonzero(showing)
    labels, first = np.unique(ordered // MAX_FRAMES, return_index=True)
    offsets = np.searchsorted(labels, CLASSES * np.arange(CHUNK_CLIPS + 1))
    return labels % CLASSES, offsets, ordered % MAX_FRAMES, np.append(first, len(ordered))


def _frames(rng: Generator, shown: list[_Shown], lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return [N, T, D]: background, quieter under a sound, plus noise, plus the sounds, as eight bits."""
    model, shape = sounds(), (CHUNK_CLIPS, MAX_FRAMES, DIM)
    x = rng.standard_normal(shape, dtype=np.float32)
    x *= model.fast
    x += model.mean
    decoyed, decoy = _decoys(rng, lengths)
    x[decoyed] += decoy
    quiet = ~decoyed
    for clip, frame, label, loudness in shown:
        x[clip, frame] += loudness[:, None] * model.direction[label]
        quiet[clip, frame] = False
    background = model.background[rng.integers(0, _BACKGROUNDS, CHUNK_CLIPS)]
    background += model.slow * rng.standard_normal((CHUNK_CLIPS, DIM), dtype=np.float32)
    x += np.where(quiet, 1, _MASKED).astype(np.float32)[..., None] * background[:, None]
    frames = np.rint(np.clip(x, 0, 255, out=x), out=x).astype(np.uint8)
    frames[np.arange(MAX_FRAMES) >= lengths[:, None]] = 0
    return frames


def _decoys(rng: Generator, lengths: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which frames [N, T] have a sound without a label, and what it adds to each of them.

    It is like the sounds of a family, but of none of its classes.
    """
    model = sounds()
    covered = _span(rng, *_BRIEF, lengths) & (rng.random(CHUNK_CLIPS) < _DECOY_RATE)[:, None]
    own = _unit(rng.standard_normal((CHUNK_CLIPS, DIM), dtype=np.float32)) * model.spread * np.float32(_SOUND)
    family = model.direction[model.parent[rng.integers(0, CLASSES, CHUNK_CLIPS)]]
    return covered, _blend(family, own)[np.nonzero(covered)[0]]


def _video_ids(split: int, chunk: int) -> NDArray[Any]:
    """Return [N] ids in YouTube's alphabet; the chunk's number leads, as the shard's name does in the release."""
    alphabet = np.frombuffer(b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", np.uint8)
    number = np.arange(CHUNK_CLIPS, dtype=np.uint64) + np.uint64((split * 4096 + chunk) * CHUNK_CLIPS)
    # An odd factor permutes the numbers below 2^54: nine characters that look random and never repeat.
    number *= np.uint64(0x9E3779B97F4A7C15)
    places = 6 * np.arange(9, dtype=np.uint64)
    digits = np.empty((CHUNK_CLIPS, 11), np.int64)
    digits[:, :2] = divmod(chunk, 64)
    digits[:, 2:] = (number[:, None] >> places) & np.uint64(63)
    return alphabet[digits].view("S11")[:, 0]


def _blend(family: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    """Return a direction that has `_FAMILY_SHARE` in common with its family."""
    return family * _FAMILY_SHARE + own * float(np.sqrt(1 - _FAMILY_SHARE**2))


def _mix(weights: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights @ vectors, summed in a fixed order."""
    return reduce(np.add, (w[:, None] * v for w, v in zip(weights.T, vectors, strict=True)))


def _unit(x: NDArray[Any]) -> NDArray[Any]:
    unit: NDArray[Any] = x / np.sqrt((x * x).sum(-1, keepdims=True))
    return unit
