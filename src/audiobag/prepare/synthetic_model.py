"""The generator of the synthetic data set: clips drawn, a chunk at a time, from a model of AudioSet.

A clip is a bag of background frames in which sounds begin and end. A sound adds the direction of its class to the
frames that it covers; these frames are its witnesses.

- *Prior.* Music and speech occur in more than a quarter of the clips. The frequencies of the other classes follow
  Zipf's law. In the curated splits, each class is drawn equally often, which sets a minimum as in AudioSet.
- *Co-occurrence.* Runs of neighbouring classes form families, because AudioSet numbers its classes along the ontology.
  The first class of a family is the parent of the others, and usually labelled together with them.
- *Persistence.* Most classes show in 1 to 3 frames, some in 4 to 8, a few, such as music, in all frames.
- *Confounders.* The sounds of a family are similar, loudness varies, unlabelled sounds resemble a family, and each clip
  has its own background, close to one of those that all clips share. A maximum over frames picks up confounders, and
  an average dilutes brief sounds.

The statistics of the frames follow the real features, which are whitened principal components clipped to eight bits:
from the first to the last component the spread grows, and the correlation between frames fades.

All randomness comes from (seed, split, chunk), so any chunk can be generated alone. Frames are elementwise sums rather
than matrix products, whose rounding differs between machines.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from audiobag.prepare.synthetic_classes import (
    AFTER_MUSIC,
    BACKGROUNDS,
    BRIEF,
    CLASSES,
    DIM,
    MAX_FRAMES,
    MUSIC,
    SOUND,
    SPEECH,
    blend,
    sounds,
    unit,
)

SPLITS = ("bal_train", "eval", "unbal_train")
CHUNK_CLIPS = 2 * CLASSES
"""Number of clips in a chunk: in the curated splits each class is drawn twice."""

_CURATED = ("bal_train", "eval")
_FULL_LENGTH = 0.98
_PARENT_LABELLED = 0.8
_SECOND, _SPEECH_RATE, _MUSIC_RATE, _MUSIC_UNDER_MUSICAL = 0.45, 0.26, 0.1, 0.8
_RECURS = 0.6
_MASKED = 0.5
_DECOY_RATE = 0.5
_LOUDNESS = (0.6, 1.4)


class Chunk(NamedTuple):
    """N clips; the ragged columns are those of `audiobag.data.store`.

    Attributes:
        video_id: [N] bytes, 11 characters each, ascending from chunk to chunk, unique over all splits.
        frames: [N, 10, 128], zero after the end of a bag.
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


class _Shown(NamedTuple):
    """Sounds in time: frame `frame` of clip `clip` shows class `label` with `loudness`; no frame occurs twice."""

    clip: NDArray[np.int64]
    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    loudness: NDArray[np.float32]


def make_chunk(seed: int, split: str, chunk: int) -> Chunk:
    """Generate the clips of one chunk; a pure function of its arguments.

    Args:
        seed: seed of the clips; classes and backgrounds are the same for every seed.
        split: one of `SPLITS`; all but `unbal_train` are curated.
        chunk: number of the chunk, from 0 to 4,095.
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
    """Return four arrays [N] of classes, -1 for none: two of any class, music, speech."""
    first = rng.permutation(CHUNK_CLIPS) % CLASSES if curated else _draw(rng)
    second = np.where(rng.random(CHUNK_CLIPS) < _SECOND, _draw(rng), -1)
    musical = (first >= MUSIC) & (first < AFTER_MUSIC)
    music = rng.random(CHUNK_CLIPS) < np.where(musical, _MUSIC_UNDER_MUSICAL, _MUSIC_RATE)
    speech = rng.random(CHUNK_CLIPS) < _SPEECH_RATE
    return [first, second, np.where(music, MUSIC, -1), np.where(speech, SPEECH, -1)]


def _draw(rng: Generator) -> NDArray[np.int64]:
    return np.searchsorted(sounds().cumulative[:-1], rng.random(CHUNK_CLIPS), side="right")


def _place(rng: Generator, classes: NDArray[np.int64], lengths: NDArray[np.int64]) -> _Shown:
    """Draw the frames and the loudness of one sound per clip; class -1 is no sound."""
    model = sounds()
    covered = _span(rng, model.shortest[classes], model.longest[classes], lengths)
    again = rng.random(CHUNK_CLIPS) < _RECURS
    covered |= _span(rng, model.shortest[classes], model.longest[classes], lengths) & again[:, None]
    covered &= (classes >= 0)[:, None]
    loudness = rng.uniform(*_LOUDNESS, CHUNK_CLIPS).astype(np.float32)
    clip, frame = np.nonzero(covered)
    return _Shown(clip, frame, classes[clip], loudness[clip])


def _span(rng: Generator, shortest: Any, longest: Any, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return [N, T], true in one run of `shortest` to `longest` frames, limited to the length of the bag."""
    extent = np.minimum(rng.integers(shortest, longest, CHUNK_CLIPS, endpoint=True), lengths)
    begin = rng.integers(0, lengths - extent, endpoint=True)[:, None]
    t = np.arange(MAX_FRAMES)
    return (t >= begin) & (t < begin + extent[:, None])


def _labels(rng: Generator, shown: list[_Shown]) -> tuple[NDArray[np.int64], ...]:
    """Return label_ids, label_offsets, witness_frames, witness_offsets of all sounds and most of their parents."""
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
    """Return [N, T, D]: background (quieter under a sound), noise and sounds, clipped to eight bits."""
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
    background = model.background[rng.integers(0, BACKGROUNDS, CHUNK_CLIPS)]
    background += model.slow * rng.standard_normal((CHUNK_CLIPS, DIM), dtype=np.float32)
    x += np.where(quiet, 1, _MASKED).astype(np.float32)[..., None] * background[:, None]
    frames = np.rint(np.clip(x, 0, 255, out=x), out=x).astype(np.uint8)
    frames[np.arange(MAX_FRAMES) >= lengths[:, None]] = 0
    return frames


def _decoys(rng: Generator, lengths: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which frames [N, T] have an unlabelled sound, and the vectors it adds to them.

    The sound resembles a family, but none of its classes.
    """
    model = sounds()
    covered = _span(rng, *BRIEF, lengths) & (rng.random(CHUNK_CLIPS) < _DECOY_RATE)[:, None]
    own = unit(rng.standard_normal((CHUNK_CLIPS, DIM), dtype=np.float32)) * model.spread * np.float32(SOUND)
    family = model.direction[model.parent[rng.integers(0, CLASSES, CHUNK_CLIPS)]]
    return covered, blend(family, own)[np.nonzero(covered)[0]]


def _video_ids(split: int, chunk: int) -> NDArray[Any]:
    """Return [N] ids in YouTube's alphabet; the first two characters are the chunk's, as in the published shards."""
    alphabet = np.frombuffer(b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", np.uint8)
    number = np.arange(CHUNK_CLIPS, dtype=np.uint64) + np.uint64((split * 4096 + chunk) * CHUNK_CLIPS)
    # Multiplication by an odd factor permutes the numbers below 2^54: nine characters that look random and are unique.
    number *= np.uint64(0x9E3779B97F4A7C15)
    places = 6 * np.arange(9, dtype=np.uint64)
    digits = np.empty((CHUNK_CLIPS, 11), np.int64)
    digits[:, :2] = divmod(chunk, 64)
    digits[:, 2:] = (number[:, None] >> places) & np.uint64(63)
    return alphabet[digits].view("S11")[:, 0]
