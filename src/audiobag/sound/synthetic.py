"""The synthetic sounds: generated recordings of twenty classes, with exact onsets."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from audiobag.sound.reading import library
from audiobag.sound.synthesis import SOUNDS, background, synthesise
from audiobag.utils.errors import InputError
from audiobag.utils.files import read_json, whole_folder, write_json, write_rows
from audiobag.utils.values import check_choice

RATE: Final = 16_000
SECONDS: Final = 10.0
SIZES: Final[Mapping[str, Mapping[str, int]]] = {
    "tiny": {"bal_train": 60, "eval": 30},
    "small": {"bal_train": 600, "eval": 200},
}
"""Number of recordings of each split."""

VERSION: Final = 1
"""Increase it with every change of the sounds: recordings of another version are generated again."""

_MANIFEST: Final = "synthetic-sounds.json"
_COLUMNS: Final = ("file", "start", "end", "label", "split")
_MOST_EVENTS: Final = 4


def write_recordings(folder: Path, size: str = "small", console: Console | None = None) -> Path:
    """Generate the recordings, unless they are there: FLAC files, and labels.csv with the times of all sounds.

    A recording has 10 s of quiet noise, and one to four sounds of 0.4 to 3 s at random times and levels, which may
    overlap. The same size has the same recordings on every machine.

    Args:
        folder: to write; an older version there is replaced.
        size: "tiny" (90 recordings) or "small" (800).
        console: shows the progress; standard error by default.

    Returns:
        The folder.

    Raises:
        ValueError: the size is unknown, or the folder has something else.
    """
    check_choice("size", size, SIZES)
    manifest = {"version": VERSION, "size": size}
    if read_json(folder / _MANIFEST) == manifest:
        return folder
    if folder.exists() and not (folder / _MANIFEST).is_file():
        raise InputError(f"out must not have a folder `recordings` of your own, got {folder}: choose another folder")
    soundfile = library()
    rows: list[tuple[str, ...]] = []
    finished = folder.with_name("recordings.new")
    shutil.rmtree(finished, ignore_errors=True)  # of a process that was killed before the last line
    with (
        whole_folder(finished) as new,
        Progress(console=console or Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("synthesising", total=sum(SIZES[size].values()))
        for split, count in SIZES[size].items():
            for number in range(count):
                wave, events = make_recording(split, number)
                name = f"{split}-{number:04d}.flac"
                soundfile.write(new / name, wave, RATE, subtype="PCM_16")
                rows += [(name, f"{a:.4f}", f"{b:.4f}", label, split) for a, b, label in events]
                progress.advance(task)
        write_rows(new / "labels.csv", _COLUMNS, rows)
        write_json(new / _MANIFEST, manifest)
    shutil.rmtree(folder, ignore_errors=True)
    finished.rename(folder)
    return folder


def make_recording(split: str, number: int) -> tuple[NDArray[np.float32], list[tuple[float, float, str]]]:
    """Return a recording, and (start, end, class) of each of its sounds in seconds.

    Args:
        split: "bal_train" or "eval".
        number: from 0.
    """
    rng = np.random.default_rng([VERSION, *split.encode(), number])
    total = round(SECONDS * RATE)
    wave = background(rng, total, RATE) * 10 ** (rng.uniform(-55, -40) / 20)
    names, events = tuple(SOUNDS), []
    for label in rng.choice(names, rng.integers(1, _MOST_EVENTS + 1), replace=False):
        length = round(rng.uniform(0.4, 3.0) * RATE)
        first = int(rng.integers(0, total - length))
        sound = synthesise(str(label), rng, length / RATE, RATE)
        wave[first : first + length] += sound * 10 ** (rng.uniform(-24, -8) / 20)
        events.append((first / RATE, (first + length) / RATE, str(label)))
    return np.clip(wave, -1, 1).astype(np.float32), sorted(events)
