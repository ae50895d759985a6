"""Figures of systems; each function draws one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from audiobag.pictures.classes import scatter_classes
from audiobag.report.evidence import BINS, RECALL, Evidence
from audiobag.report.systems import System
from audiobag.runs import ClassScores
from audiobag.utils.plotting import COLOURS, annotate, cut, figure_axes, plain_log


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of clips of each class.

    Attributes:
        clips: [K].
        of: "training clips", or "eval clips" where the number of training clips is unknown.
    """

    clips: NDArray[np.int64]
    of: str


def class_counts(classes: ClassScores) -> Counts:
    """Return the number of clips of each class in training if it is known, else in the eval set."""
    if classes.training_clips is None:
        return Counts(classes.positives, "eval clips")
    return Counts(classes.training_clips, "training clips")


def colours(systems: Sequence[System]) -> dict[str, str]:
    """Return the colour of each system by its label, the same in all figures."""
    return {s.label: COLOURS[i % len(COLOURS)] for i, s in enumerate(systems)}


def per_class(system: System, baseline: System | None, counts: Counts, colour: Mapping[str, str]) -> Figure | None:
    """Draw the AP of each class, sorted, in front of the frequency of the class; None if no class has an AP."""
    ap = system.average_precision
    if not np.isfinite(ap).any():
        return None
    order = np.argsort(-ap, kind="stable")[: np.isfinite(ap).sum()]  # NaN comes last
    rank = np.arange(1, len(order) + 1)
    figure, axes = figure_axes(7.2, 3.6)
    behind = axes.twinx()
    behind.grid(visible=False)
    behind.fill_between(rank, 0.5, np.maximum(counts.clips[order], 0.5), step="mid", color="#e3e3e3", linewidth=0)
    behind.set(yscale="log", ylabel=f"{counts.of} of the class")
    behind.set_ylim(0.5, 0.5 * (2 * max(counts.clips.max(), 1)) ** 2.2)  # the lower half of the figure only
    behind.yaxis.label.set_color("#777777")
    behind.tick_params(axis="y", colors="#777777", which="both")
    behind.set_yticks(10.0 ** np.arange(0, np.log10(max(counts.clips.max(), 10)) + 1e-9))
    behind.minorticks_off()
    plain_log(behind.yaxis)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    if baseline is not None:
        dots: dict[str, Any] = {"marker": "o", "markersize": 2.6, "linestyle": "", "markeredgewidth": 0, "alpha": 0.75}
        axes.plot(rank, baseline.average_precision[order], color=colour[baseline.label], label=baseline.label, **dots)
    axes.plot(rank, ap[order], color=colour[system.label], linewidth=1.8, label=system.label)
    names = system.runs[0].classes.names
    annotate(axes, f"best: {names[order[0]]}", (1, float(ap[order[0]])), (8, 2), "left")
    annotate(axes, f"worst: {names[order[-1]]}", (len(order), float(ap[order[-1]])), (-4, 22), "right")
    axes.set(xlabel=f"classes, by their AP under {system.label}", ylabel="average precision")
    axes.set(xlim=(0.5, len(order) + 0.5), ylim=(0, 1.05))
    axes.legend(loc="upper right")
    return figure


def gain(system: System, baseline: System, counts: Counts, colour: Mapping[str, str]) -> Figure | None:
    """Draw the gain in AP of each class over the baseline against its number of clips, with medians of ten groups.

    Returns None if no class has clips and an AP under both systems.
    """
    difference = system.average_precision - baseline.average_precision
    good = np.isfinite(difference) & (counts.clips > 0)
    if not good.any():
        return None
    clips, y, names = counts.clips[good], difference[good], system.runs[0].classes.names
    figure, axes = figure_axes(7.2, 4.0)
    axes.axhline(0, color="#555555", linewidth=0.9)
    scatter_classes(axes, clips, y, [names[k] for k in np.flatnonzero(good).tolist()], colour[system.label])
    axes.set(xlabel=f"{counts.of} of the class", ylabel=f"gain in AP over {baseline.label}")
    axes.margins(x=0.08, y=0.14)
    better = f"{system.label}: {(y > 0).mean():.0%} of {len(y)} classes gain"
    axes.legend(loc="best", title=better, alignment="left", title_fontsize=8)
    return figure


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """The mAP on the hold-out over training, over the seeds of a system.

    Attributes:
        steps: S steps.
        mean: [S].
        low: [S], lowest seed.
        high: [S], highest seed.
        seeds: number of seeds.
    """

    steps: list[int]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seeds: int


def training_curve(system: System) -> TrainingCurve | None:
    """Return the mAP on the hold-out over training; None without a hold-out."""
    curves = [curve for run in system.runs if (curve := run.directory.curve("val/mAP"))]
    steps = sorted({step for curve in curves for step in curve})
    if not steps:
        return None
    # The mean over seeds would jump at a step that some seeds have not reached.
    shared = [s for s in steps if all(s in curve for curve in curves)] or steps
    values = np.array([[curve.get(s, np.nan) for s in shared] for curve in curves])
    ends = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    return TrainingCurve(shared, np.nanmean(values, axis=0), *ends, len(curves))


def training(systems: Sequence[System], colour: Mapping[str, str]) -> Figure | None:
    """Draw the mAP on the hold-out over training, mean and range over seeds; None without a hold-out."""
    figure, axes = figure_axes(7.2, 3.6)
    for system in systems:
        found = training_curve(system)
        if found is None:
            continue
        seeds = f"{found.seeds} seed{'s' if found.seeds > 1 else ''}"
        marker = "o" if len(found.steps) < 25 else None
        line: dict[str, Any] = {"color": colour[system.label], "linewidth": 1.6, "marker": marker, "markersize": 3}
        axes.plot(found.steps, found.mean, label=f"{system.label} ({seeds})", **line)
        axes.fill_between(found.steps, found.low, found.high, color=colour[system.label], alpha=0.18, linewidth=0)
    if not axes.lines:
        return None
    axes.set(xlabel="training step", ylabel="mAP on the hold-out")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def calibration(evidence: Mapping[str, Evidence], colour: Mapping[str, str]) -> Figure:
    """Draw the share of positives at each predicted probability, and the number of pairs of a clip and a class."""
    figure = Figure(figsize=(4.8, 5.2 + 0.18 * len(evidence)), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1, label="perfect")
    edges = np.linspace(0, 1, BINS + 1)
    for name, found in evidence.items():
        c = found.calibration
        label = f"{name}, ECE {c.error:.5f}"
        upper.plot(c.confidence, c.frequency, color=colour[name], marker="o", markersize=4, linewidth=1.4, label=label)
        lower.stairs(np.where(c.pairs > 0, c.pairs, np.nan), edges, color=colour[name], linewidth=1.4)
    upper.set(ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center")
    lower.set(xlabel="predicted probability", ylabel="pairs of clip\nand class", yscale="log")
    lower.yaxis.set_major_locator(LogLocator(numticks=5))
    lower.minorticks_off()
    plain_log(lower.yaxis)
    return figure


def precision_recall(
    systems: Mapping[str, Evidence], classes: Mapping[int, str], counts: Counts, colour: Mapping[str, str]
) -> Figure:
    """Draw precision against recall, with one panel per class."""
    across = 2 if len(classes) == 4 else min(3, len(classes))
    down = -(-len(classes) // across)
    figure = Figure(figsize=(2.4 * across + 0.4, 2.3 * down + 0.5), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, (k, title) in zip(panels, classes.items(), strict=False):
        for name, found in systems.items():
            panel.plot(RECALL, found.precision[k], color=colour[name], linewidth=1.3, label=name)
        panel.set_title(f"{cut(title, 32)}\n{counts.clips[k]:,} {counts.of}", loc="left")
        panel.set(xlim=(0, 1), ylim=(0, 1.03), xticks=(0, 0.5, 1))
    for panel in panels[len(classes) :]:
        panel.set_visible(False)
    for i, panel in enumerate(panels[: len(classes)]):
        panel.set(xlabel="recall" if i + across >= len(classes) else None, ylabel=None if i % across else "precision")
        panel.tick_params(labelbottom=i + across >= len(classes))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)))
    return figure
