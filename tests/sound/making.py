"""Sound files and small models for the tests of sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiobag.sound import LogMel, embed
from tests.composing import trained


def noise(seconds: float, rate: int = 16_000, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * rate)) * level).astype(np.float32)


def write(path: Path, wave: np.ndarray, rate: int = 16_000, **options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, **options)
    return path


def small() -> LogMel:
    """An encoder of 8 numbers."""
    return LogMel(bands=4)


def tones(folder: Path, each: int = 12, seconds: float = 4.0) -> Path:
    """Write recordings of three classes, in a folder each: a second of a low or a high tone or of noise, then quiet."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * 16_000)) / 16_000
    for number in range(each):
        for label, low, high in (("low", 200, 300), ("high", 3000, 4000)):
            sound = 0.3 * np.sin(2 * np.pi * rng.uniform(low, high) * time)
            write(folder / label / f"{number}.wav", placed(sound, number))
        write(folder / "noise" / f"{number}.flac", placed(noise(seconds, seed=100 + number), number))
    return folder


def placed(sound: np.ndarray, number: int) -> np.ndarray:
    """Return a sound in one second of a quiet recording of the same length."""
    wave = noise(len(sound) / 16_000, seed=number, level=0.001)
    start = number % (len(sound) // 16_000) * 16_000
    wave[start : start + 16_000] += sound[start : start + 16_000].astype(np.float32)
    return wave


def tagger_of_tones(folder: Path) -> Path:
    """Train for a second on tones, and return the folder of the run."""
    embed(tones(folder / "recordings"), folder / "data", encoder=small(), labels="folders", eval_fraction=0.4)
    options = ("pooling=max", "embedding.width=32", "trainer.max_steps=60", "data.batch_size=16", "optimizer.lr=0.01")
    return trained(folder / "data", folder / "run", "data=own", *options).path
