"""Timing of candidates in turns, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One result.

    Attributes:
        what: what was measured.
        value: the median.
        unit: unit of the value.
        spread: `spread` or `quartiles` of the repeats; 0 for a single measurement.
        against: what the ratio says, up to its number: "audiobag takes".
        ratio: ratio of two values, in the sense of `against`.
        goal: the goal in words; empty for none.
    """

    what: str
    value: float
    unit: str
    spread: float = 0.0
    against: str = ""
    ratio: float | None = None
    goal: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row in plain containers."""
        return asdict(self)


def seconds(
    candidates: Mapping[str, Callable[[], object]], repeats: int = 7, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the wall-clock seconds of each call; the candidates take turns, and the warm-up is left out."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(warm_up + repeats):
        for name, run in candidates.items():
            before = time.perf_counter()
            run()
            if turn >= warm_up:
                taken[name].append(time.perf_counter() - before)
    return taken


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: list[float]) -> float:
    """Return (max - min) / median."""
    return (max(values) - min(values)) / median(values)


def quartiles(values: list[float]) -> float:
    """Return (third quartile - first) / median: a spread that a few disturbed values do not change."""
    first, middle, third = statistics.quantiles(values)
    return (third - first) / middle


def rates(
    taken: dict[str, list[float]], items: Mapping[str, int], ours: str, unit: str, goals: Mapping[str, str]
) -> list[Row]:
    """Return rows of items per second, with the ratio of ours to each peer's.

    Args:
        taken: from `seconds`.
        items: number of items that each call handles.
        ours: name of audiobag's candidate.
        unit: unit of the rows.
        goals: goal of the ratio to each peer, in words.
    """
    rate = {name: items[name] / median(values) for name, values in taken.items()}
    rows = [Row(ours, rate[ours], unit, spread(taken[ours]))]
    for name in taken:
        if name != ours:
            ratio = rate[ours] / rate[name]
            rows.append(Row(name, rate[name], unit, spread(taken[name]), ours, ratio, goals.get(name, "")))
    return rows


def milliseconds(taken: dict[str, list[float]], ours: str, goals: Mapping[str, str]) -> list[Row]:
    """Return rows of milliseconds, with the ratio of ours to each peer's.

    Args:
        taken: from `seconds`.
        ours: name of audiobag's candidate.
        goals: goal of the ratio to each peer, in words.
    """
    ms = {name: 1e3 * median(values) for name, values in taken.items()}
    rows = [Row(ours, ms[ours], "ms", spread(taken[ours]))]
    for name in taken:
        if name != ours:
            ratio = ms[ours] / ms[name]
            rows.append(Row(name, ms[name], "ms", spread(taken[name]), "audiobag takes", ratio, goals.get(name, "")))
    return rows
