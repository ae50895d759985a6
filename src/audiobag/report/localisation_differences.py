"""Differences in localisation between systems, with paired intervals: a table, a CSV and forest plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audiobag.metrics.localisation import LOCALISATION
from audiobag.report.figures import forest_picture
from audiobag.report.formats import NONE, Table, ends_text
from audiobag.report.localisation import KINDS, Draws, localised
from audiobag.report.page import Picture
from audiobag.report.statistics import Ends, interval, over_seeds
from audiobag.report.systems import System
from audiobag.report.verdict import forest_row
from audiobag.utils.files import csv_text

_COMPARED: Final = ("f", "p", "fp")
_SCORES: Final = tuple(name for name in LOCALISATION if name != "share")
_SHOWN: Final = ("frame_mAP", "within_AUC", "pointing", "mass")
_DRAWN: Final = {"frame_mAP": "frame mAP", "pointing": "pointing"}


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
    ours, theirs = (s.localisation(kind, name) for s in (system, baseline))
    if not ours or not theirs:
        return None
    mean = float(np.mean([*ours.values()]) - np.mean([*theirs.values()]))
    seeds, shared = over_seeds(ours, theirs)
    a, b = (drawn.get((s.name, kind, name)) for s in (system, baseline))
    clips = interval(mean, a - b) if a is not None and b is not None else None
    return LocalisationDifference(system, kind, name, mean, seeds, clips, shared)


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
        row[one.score] = f"{one.mean:+.4f}" + (f" ({ends_text(one.interval, '+.4f')})" if one.interval else "")
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
    rows: list[list[object]] = []
    for one in found:
        intervals = [end for each in (one.seeds, one.clips) for end in each or (None, None)]
        rows.append([one.system.name, baseline.name, one.kind, one.score, one.mean, one.shared, *intervals])
    return csv_text([*columns, *ends], rows)


def localisation_forests(found: Sequence[LocalisationDifference], baseline: System) -> list[Picture]:
    """Return forest plots of the differences of f in frame mAP and in pointing; none without differences."""
    pictures = []
    for name, title in _DRAWN.items():
        ordered = sorted((d for d in found if (d.kind, d.score) == ("f", name)), key=lambda d: -d.mean)
        what = f"difference in {title} to {baseline.label}"
        caption = f"Difference in {title} of f with its 95 % interval. Grey: the interval contains 0."
        rows = [forest_row(d.system.label, d.mean, d.interval) for d in ordered]
        pictures.append(forest_picture(f"forest_{name}", rows, what, caption))
    return [picture for picture in pictures if picture is not None]
