"""Twenty kinds of sound, each synthesised by a few lines of arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

_ONSET: Final = 6  # milliseconds, after which the edge no longer softens an impulse
Wave = NDArray[np.float64]
Synthesis = Callable[[np.random.Generator, Wave, int], Wave]
"""(random numbers, times [n] in seconds from the onset, sample rate) -> samples [n] of any level."""


def synthesise(label: str, rng: np.random.Generator, seconds: float, rate: int) -> Wave:
    """Return a sound of a class with a peak of 1; it begins at the first sample and ends with the last.

    Args:
        label: one of `SOUNDS`.
        rng: random numbers for its pitch, speed and colour.
        seconds: duration.
        rate: samples per second.
    """
    time = np.arange(round(seconds * rate)) / rate
    wave = SOUNDS[label](rng, time, rate)
    edge = min(len(time) // 4, round(0.005 * rate))  # a step would click
    ramp = np.sin(np.linspace(0, np.pi / 2, edge + 1)[1:]) ** 2
    wave[:edge] *= ramp
    wave[len(wave) - edge :] *= ramp[::-1]
    return np.asarray(wave / max(np.abs(wave).max(), 1e-9))


def _sine(phase: Wave | float) -> Wave:
    return np.asarray(np.sin(2 * np.pi * np.asarray(phase)))


def _swept(frequency: Wave, rate: int) -> Wave:
    """Return a sine of a frequency that changes."""
    return _sine(np.cumsum(frequency) / rate)


def _harmonics(frequency: Wave, rate: int, count: int, slope: float) -> Wave:
    phase = np.cumsum(frequency) / rate
    below = [k for k in range(1, count + 1) if k * frequency.max() < rate / 2]
    return np.asarray(sum(_sine(k * phase) / k**slope for k in below))


def _filtered(
    wave: Wave,
    kind: Literal["bandpass", "lowpass", "highpass"],
    cutoff: float | tuple[float, float],
    rate: int,
    order: int = 2,
) -> Wave:
    return np.asarray(sosfilt(butter(order, cutoff, kind, fs=rate, output="sos"), wave))


def _impulses(rng: np.random.Generator, time: Wave, rate: int, per_second: float) -> Wave:
    strikes = (rng.random(len(time)) < per_second / rate) * rng.exponential(1.0, len(time))
    strikes[min(len(time) - 1, _ONSET * rate // 1000)] = 2.0  # one is heard at the onset
    return np.asarray(strikes)


def _tone(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    return _sine(rng.uniform(300, 3000) * time)


def _rising(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    return _swept(np.geomspace(rng.uniform(200, 500), rng.uniform(2500, 6000), len(time)), rate)


def _falling(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    return _swept(np.geomspace(rng.uniform(2500, 6000), rng.uniform(200, 500), len(time)), rate)


def _siren(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    swing = 1 - np.cos(2 * np.pi * rng.uniform(0.8, 2.0) * time)
    return _harmonics(rng.uniform(500, 800) * (1 + 0.5 * swing), rate, 5, 1.5)


def _beeps(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    on = (time * rng.uniform(3, 6)) % 1 < 0.5
    return np.asarray(_harmonics(np.full(len(time), rng.uniform(1500, 2500)), rate, 3, 1.0) * on)


def _clicks(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    period = max(1, round(rate / rng.uniform(4, 9)))
    wave = np.zeros(len(time))
    wave[min(len(time) - 1, _ONSET * rate // 1000) :: period] = 1.0
    return _filtered(wave, "bandpass", (1500, 5000), rate, 1)


def _bell(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    base = rng.uniform(350, 900)
    partials = ((1.0, 1.0), (2.0, 0.7), (2.76, 0.6), (4.07, 0.4), (5.4, 0.3), (6.8, 0.2))
    decay = rng.uniform(0.4, 1.0)
    return np.asarray(
        sum(a * _sine(base * k * time) * np.exp(-time * k**0.5 / decay) for k, a in partials if base * k < rate / 2)
    )


def _engine(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    wobble = 1 + 0.05 * _filtered(rng.standard_normal(len(time)), "lowpass", 5.0, rate, 1) * 10
    rumble = _harmonics(rng.uniform(40, 90) * np.clip(wobble, 0.7, 1.3), rate, 25, 0.8)
    return np.asarray(rumble + 0.2 * _filtered(rng.standard_normal(len(time)), "lowpass", 400.0, rate))


def _noise(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    return np.asarray(rng.standard_normal(len(time)))


def _rain(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    hiss = _filtered(rng.standard_normal(len(time)), "highpass", 2000.0, rate)
    drops = _filtered(_impulses(rng, time, rate, 150), "bandpass", (1000, 4000), rate)
    return np.asarray(hiss / hiss.std() * 0.3 + drops / max(drops.std(), 1e-9) * 0.3)


def _crackle(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    return _filtered(_impulses(rng, time, rate, rng.uniform(20, 40)), "bandpass", (600, 3500), rate, 1)


def _plucked(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    """Return a string after Karplus and Strong (1983), plucked twice a second."""
    period = round(rate / rng.uniform(110, 440))
    burst = np.zeros(len(time))
    for start in range(0, len(time), max(rate // 2, period + 1)):
        burst[start : start + period] = rng.uniform(-1, 1, len(burst[start : start + period]))
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1.0, -0.498, -0.498
    return np.asarray(lfilter([1.0], loop, burst))


def _voice(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    """Return vowels: the pulses of a voice through the resonances of a mouth."""
    pitch = rng.uniform(100, 230) * (1 + 0.04 * _sine(5 * time) + 0.1 * _sine(0.7 * time))
    source = _harmonics(pitch, rate, 40, 1.0)
    vowels = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
    wave = np.zeros(len(time))
    length = max(1, round(0.25 * rate))
    for start in range(0, len(time), length):
        piece = source[start : start + length]
        formants = vowels[rng.integers(len(vowels))]
        swell = np.sin(np.linspace(0, np.pi, len(piece))) ** 0.5
        for strength, at in zip((1.0, 0.6, 0.3), formants, strict=True):
            wave[start : start + length] += (
                swell * strength * _filtered(piece, "bandpass", (at * 0.9, at * 1.1), rate, 1)
            )
    return wave


def _whistle(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    pitch = rng.uniform(900, 2000) * (1 + 0.02 * _sine(6 * time) + 0.1 * _sine(rng.uniform(0.3, 0.8) * time))
    return np.asarray(_swept(pitch, rate) + 0.03 * rng.standard_normal(len(time)))


def _wind(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    gust = 1.2 + _sine(rng.uniform(0.3, 0.8) * time + rng.random())
    return np.asarray(gust * _filtered(rng.standard_normal(len(time)), "bandpass", (150, rng.uniform(400, 700)), rate))


def _drum(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    period = 1 / rng.uniform(2, 4)
    since = time % period
    body = np.sin(2 * np.pi * (rng.uniform(60, 110) * since + 4 * (1 - np.exp(-since / 0.03)) / 2))
    skin = rng.standard_normal(len(time)) * np.exp(-since / 0.02)
    return np.asarray(body * np.exp(-since / 0.12) + 0.5 * skin)


def _organ(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    root = rng.uniform(180, 350)
    return np.asarray(sum(_harmonics(np.full(len(time), root * k), rate, 6, 1.2) for k in (1.0, 1.26, 1.498)))


def _hum(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    return np.asarray(
        np.sign(_sine(rng.choice([100.0, 120.0]) * time)) + 0.3 * _sine(rng.choice([300.0, 360.0]) * time)
    )


def _telephone(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    on = time % 0.6 < 0.4
    return np.asarray((_sine(440 * time) + _sine(480 * time)) * (0.6 + 0.4 * np.sign(_sine(20 * time))) * on)


def _bird(rng: np.random.Generator, time: Wave, rate: int) -> Wave:
    speed = rng.uniform(5, 9)
    within = (time * speed) % 1
    sweep = rng.uniform(3000, 4500) + rng.uniform(1000, 2500) * np.sin(np.pi * within)
    return np.asarray(_swept(sweep, rate) * np.where(within < 0.6, np.sin(np.pi * within / 0.6), 0.0))


SOUNDS: Final[Mapping[str, Synthesis]] = {
    "Beeps": _beeps,
    "Bell": _bell,
    "Bird": _bird,
    "Clicks": _clicks,
    "Crackle": _crackle,
    "Drum": _drum,
    "Engine": _engine,
    "Falling chirp": _falling,
    "Hum": _hum,
    "Noise": _noise,
    "Organ": _organ,
    "Plucked string": _plucked,
    "Rain": _rain,
    "Rising chirp": _rising,
    "Siren": _siren,
    "Telephone": _telephone,
    "Tone": _tone,
    "Voice": _voice,
    "Whistle": _whistle,
    "Wind": _wind,
}


def background(rng: np.random.Generator, samples: int, rate: int) -> NDArray[Any]:
    """Return quiet noise with more power at low frequencies, with a standard deviation of 1."""
    noise = lfilter([1.0], [1.0, -0.9], rng.standard_normal(samples + rate))[rate:]
    return np.asarray(noise / noise.std())
