"""Differences in localisation between systems, with paired intervals: a table, a CSV and forest plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audiobag.metrics.localisation import LOCALISATION
from audiobag.pictures.forest import ForestRow, draw_forest
from audiobag.report import interactive
from audiobag.report.formats import NONE, Table, csv_text
from audiobag.report.localisation import KINDS, Draws, Ends, localised
from audiobag.report.page import Picture
from audiobag.report.statistics import estimate, interval
from audiobag.report.systems import System
from audiobag.utils.plotting import png

_COMPARED: Final = ("f", "p", "fp")
_SCORES: Final = tuple(name for name in LOCALISATION if name != "share")
_SHOWN: Final = ("frame_mAP", "within_AUC", "pointing", "mass")
_DRAWN: Final = {"frame_mAP": "frame mAP", "pointing": "pointing"}
_MOST_ROWS: Final = 40


@dataclass(frozen=True, slots=True)
class LocalisationDifference:
    """A score of a system's seconds minus that of the baseline's, both averaged over seeds.

    Attributes:
        system: the system.
        kind: of the scores, such as f.
        score: name of the score.
        mean: the difference.
        seeds: 95 % interval of the mean difference of runs with the same seed; None with fewer than two shared seeds.
        clips: 95 % interval from a bootstrap over the clips, the same for both; None if it is unknown.
        shared: number of seeds that both have.
    """

    system: System
    kind: str
    score: str
    mean: float
    seeds: Ends
    clips: Ends
    shared: int

    @property
    def interval(self) -> Ends:
        """The interval to judge by: over three seeds or more, else over clips, else over two seeds."""
        return self.seeds if self.shared > 2 and self.seeds else self.clips or self.seeds


def localisation_differences(systems: Sequence[System], baseline: System, drawn: Draws) -> list[LocalisationDifference]:
    """Compare f, p and f p of each other system with those of the baseline, for each score that both have.

    Args:
        systems: of the report; those that were not scored against the baseline's strong labels are left out.
        baseline: the system to compare with.
        drawn: replicates of the bootstrap over clips.
    """
    if not localised([baseline]):
        return []
    others = [s for s in localised(systems) if s is not baseline and _counts(s) == _counts(baseline)]
    found = (_difference(s, baseline, kind, name, drawn) for s in others for kind in _COMPARED for name in _SCORES)
    return [difference for difference in found if difference is not None]


def _difference(system: System, baseline: System, kind: str, name: str, drawn: Draws) -> LocalisationDifference | None:
    ours, theirs = (_by_seed(s, kind, name) for s in (system, baseline))
    if not ours or not theirs:
        return None
    mean = float(np.mean([*ours.values()]) - np.mean([*theirs.values()]))
    shared = [seed for seed in ours if seed in theirs]
    over_seeds = estimate([ours[seed] - theirs[seed] for seed in shared])
    seeds = None
    if over_seeds is not None and over_seeds.low is not None and over_seeds.high is not None:
        seeds = (over_seeds.low, over_seeds.high)
    a, b = (drawn.get((s.name, kind, name)) for s in (system, baseline))
    clips = interval(mean, a - b) if a is not None and b is not None else None
    return LocalisationDifference(system, kind, name, mean, seeds, clips, len(shared))


def _by_seed(system: System, kind: str, name: str) -> dict[int, float]:
    found = {run.seed: run.localised.scores.get(kind, {}).get(name) for run in system.runs if run.localised}
    return {seed: float(value) for seed, value in found.items() if value is not None}


def _counts(system: System) -> list[Mapping[str, int]]:
    """Return the counts of the strong labels that the runs were scored against, each once."""
    counts: list[Mapping[str, int]] = []
    for run in system.runs:
        if run.localised and run.localised.counts not in counts:
            counts.append(run.localised.counts)
    return counts


def localisation_difference_table(found: Sequence[LocalisationDifference], baseline: System) -> Table | None:
    """Return the differences with the interval to judge by, a row per system and kind; None if there are none."""
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in found:
        row = cells.setdefault((one.system.name, one.system.label, KINDS[one.kind]), {})
        row[one.score] = f"{one.mean:+.4f}" + _range(one.interval)
    if not cells:
        return None
    rows = tuple((label, kind, *(row.get(name, NONE) for name in _SHOWN)) for (_, label, kind), row in cells.items())
    note = (
        f"Scores of seconds minus those of {baseline.label}, with 95 % intervals: over seeds (Student's t interval of"
        " the differences of runs with the same seed) with three shared seeds or more, otherwise from a paired"
        " bootstrap over clips. localisation_differences.csv has both, and all scores."
    )
    columns = ("System", "second", *(LOCALISATION[name] for name in _SHOWN))
    return Table(f"Localisation: difference to {baseline.label}", columns, rows, 3, note)


def localisation_differences_csv(found: Sequence[LocalisationDifference], baseline: System) -> str:
    """Return differences with their intervals as CSV."""
    columns = ["system", "baseline", "second", "score", "difference", "shared_seeds"]
    ends = ["seeds_low", "seeds_high", "clips_low", "clips_high"]
    rows: list[list[object]] = [
        [
            one.system.name,
            baseline.name,
            one.kind,
            one.score,
            one.mean,
            one.shared,
            *(one.seeds or (None, None)),
            *(one.clips or (None, None)),
        ]
        for one in found
    ]
    return csv_text([*columns, *ends], rows)


def localisation_forests(found: Sequence[LocalisationDifference], baseline: System) -> list[Picture]:
    """Return forest plots of the differences of f in frame mAP and in pointing; none without differences."""
    pictures = []
    for name, title in _DRAWN.items():
        ordered = sorted((d for d in found if (d.kind, d.score) == ("f", name)), key=lambda d: -d.mean)
        rows = [_row(d) for d in ordered[:_MOST_ROWS]]
        if rows:
            what = f"difference in {title} to {baseline.label}"
            caption = f"Difference in {title} of f with its 95 % interval. Grey: the interval contains 0."
            if len(ordered) > len(rows):
                caption += f" The best {len(rows)} of {len(ordered)} systems."
            drawn = png(draw_forest(rows, what, zero=True), dpi=200)
            plot = interactive.forest(rows, what)
            pictures.append(Picture(f"forest_{name}", f"{what[0].upper()}{what[1:]}", caption, drawn, plot=plot))
    return pictures


def _row(found: LocalisationDifference) -> ForestRow:
    low, high = found.interval or (None, None)
    tells = low is not None and high is not None and not low <= 0 <= high
    return ForestRow(found.system.label, found.mean, low, high, strong=tells)


def _range(ends: Ends) -> str:
    return "" if ends is None else f" ({ends[0]:+.4f} to {ends[1]:+.4f})"
