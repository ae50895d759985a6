"""Localisation in the report: a table, a CSV and the picture of tagging against localisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from audiobag.report.formats import Table, ends_text, mean_text
from audiobag.report.statistics import Ends, Estimate, bootstrap_pairs, estimate, interval
from audiobag.report.systems import System
from audiobag.runs.localisation import PAIR_SCORES
from audiobag.utils.errors import InputError
from audiobag.utils.files import csv_text
from audiobag.utils.plotting import cut

KINDS: Final[Mapping[str, str]] = {"f": "f", "p": "p", "fp": "f p", "F": "F", "random": "random"}
"""The kinds of scores of a second, and how tables name them."""

_SHOWN: Final = {
    "frame_mAP": "frame mAP",
    "segment_F1": "segment F1",
    "present_mAP": "mAP given the class",
    "within_AUC": "AUC within clips",
    "pointing": "pointing",
    "mass": "mass",
    "share": "share of time",
}

# p does not tell which classes a clip has, so its frame mAP over all clips says nothing.
LOCATED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "frame_mAP": ("frame mAP", ("f", "F")),
    "pointing": ("pointing", ("f", "p", "F")),
}
"""The scores that pictures show: title, and the kinds of scores of a second."""

_MARKERS: Final = {"f": "o", "p": "^", "F": "_"}

Draws = dict[tuple[str, str, str], NDArray[np.float64]]
"""Replicates [R] of a bootstrap over clips, by name of the system, kind and score."""


def localised(systems: Sequence[System]) -> list[System]:
    """Return the systems whose runs have all been scored against strong labels."""
    return [s for s in systems if all(run.localised for run in s.runs)]


def scored(system: System, kind: str, name: str) -> Estimate | None:
    """Return the mean over seeds of a score of the seconds; None if no seed has it."""
    return estimate([*system.localisation(kind, name).values()], 0, 1)


def bootstrap(systems: Sequence[System], replicates: int) -> tuple[Draws, list[str]]:
    """Return replicates from a bootstrap over clips, averaged over seeds, and sentences on what is missing.

    Args:
        systems: to examine.
        replicates: number of replicates; 0 for none.
    """
    drawn: Draws = {}
    missing = []
    for system in localised(systems) if replicates else []:
        try:
            read = [run.localised.directory.read_localisation() for run in system.runs if run.localised]
        except InputError as error:
            missing.append(f"{system.name} has no clip bootstrap of its localisation: {error}.")
            continue
        for kind in read[0].scores:
            for name in PAIR_SCORES:
                of_seeds = [
                    bootstrap_pairs(one.scores[kind][name], one.clip, one.label, len(one.video_id), replicates)
                    for one in read
                ]
                drawn[system.name, kind, name] = np.mean(of_seeds, axis=0)
    return drawn, missing


def intervals(systems: Sequence[System], drawn: Draws) -> dict[tuple[str, str, str], Ends]:
    """Return 95 % intervals of the scores that were drawn, by system, kind and score."""
    of = {system.name: system for system in systems}
    values = {(name, kind, score): of[name].localisation(kind, score).values() for name, kind, score in drawn}
    means = {key: float(np.mean([*each] or [np.nan])) for key, each in values.items()}
    return {key: interval(means[key], replicates, 0, 1) for key, replicates in drawn.items()}


def notices(systems: Sequence[System]) -> list[str]:
    """Return a sentence if systems were scored against different strong labels, or only some of them were."""
    scored = localised(systems)
    counts = {tuple(sorted(run.localised.counts.items())) for s in scored for run in s.runs if run.localised}
    out = []
    if len(counts) > 1:
        out.append("Systems were scored against different strong labels: their localisation cannot be compared.")
    if partly := [s.name for s in systems if s not in scored and any(run.localised for run in s.runs)]:
        out.append(f"Not all seeds of {', '.join(partly)} were scored against strong labels: no localisation is shown.")
    return out


def localisation_table(systems: Sequence[System], found: Mapping[tuple[str, str, str], Ends]) -> Table | None:
    """Return the scores of the seconds, a row per system and kind; None if no system has any."""
    rows = []
    for system in localised(systems):
        for kind, title in KINDS.items():
            if system.localisation(kind, "frame_mAP") or system.localisation(kind, "pointing"):
                cells = (mean_text(scored(system, kind, name)) for name in _SHOWN)
                ends = ends_text(found.get((system.name, kind, "pointing")))
                rows.append((system.label, title, str(len(system.runs)), *cells, ends))
    if not rows:
        return None
    columns = ("System", "second", "Seeds", *_SHOWN.values(), "pointing, 95 % over clips")
    note = (
        "Scores of seconds against strong labels, means over classes, ± standard deviation over seeds. F: the clip's"
        " probability at each second, as under a uniform measure. Given the class and all columns to the right: only"
        " clips in which the class is heard in some seconds but not in all."
    )
    return Table("Localisation", columns, tuple(rows), 5, note)


def localisation_csv(systems: Sequence[System], found: Mapping[tuple[str, str, str], Ends]) -> str:
    """Return all scores of the seconds as CSV, a row per system, kind and score."""
    rows: list[list[object]] = []
    for system in localised(systems):
        for kind in KINDS:
            for name in (*_SHOWN, "frame_AUC", "present_AUC"):
                if e := scored(system, kind, name):
                    ends = found.get((system.name, kind, name)) or (None, None)
                    rows.append([system.name, kind, name, e.n, e.mean, e.deviation, e.low, e.high, *ends])
    return csv_text(
        ["system", "second", "score", "seeds", "mean", "deviation", "low", "high", "clips_low", "clips_high"], rows
    )


def draw_localisation(systems: Sequence[System], colour: Mapping[str, str]) -> Figure | None:
    """Draw frame mAP and pointing against the mAP of the clips; None without scores."""
    shown = [s for s in localised(systems) if s.values("test", "mAP")]
    if not shown:
        return None
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    for axes, (name, (title, kinds)) in zip(figure.subplots(1, len(LOCATED)), LOCATED.items(), strict=True):
        axes.grid(color="#e4e4e4", linewidth=0.6)
        for system in shown:
            for kind in kinds:
                if found := scored(system, kind, name):
                    axes.scatter(system.mAP, found.mean, marker=_MARKERS[kind], color=colour[system.label], s=34)
        axes.set(xlabel="mAP of clips", ylabel=title)
        axes.margins(0.12)
    dots = [Line2D([], [], linestyle="", marker="o", color=colour[system.label]) for system in shown]
    figure.legend(dots, [cut(system.label) for system in shown], loc="outside lower center", ncols=4, frameon=False)
    return figure
