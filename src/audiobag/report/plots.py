"""The pictures, drawn without a display; each function makes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from audiobag.pictures import cut
from audiobag.report.evidence import BINS, RECALL, Evidence
from audiobag.report.systems import System
from audiobag.runs import ClassScores

# Okabe and Ito's colours, told apart by the colour-blind too; the yellow, too pale for lines, is darkened.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B5A800")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "text.parse_math": False,  # what stands in a name is text: a $ begins no formula
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many clips each class has, and of which clips.

    Attributes:
        clips: [K].
        of: "training clips", or where those are not to be had "eval clips".
    """

    clips: NDArray[np.int64]
    of: str


def class_counts(classes: ClassScores) -> Counts:
    """Return how frequent the classes are: in training where that is known, else among the scored clips."""
    if classes.training_clips is None:
        return Counts(classes.positives, "eval clips")
    return Counts(classes.training_clips, "training clips")


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in here: one look for all pictures, and nothing of it left behind."""
    with matplotlib.rc_context(_STYLE):
        yield


def colours(systems: Sequence[System]) -> dict[str, str]:
    """Give each system its colour, the same in all pictures."""
    return {s.name: COLOURS[i % len(COLOURS)] for i, s in enumerate(systems)}


def per_class(system: System, baseline: System | None, counts: Counts, colour: Mapping[str, str]) -> Figure | None:
    """Draw AP of each class, sorted, over the class's frequency; None where no class has one."""
    ap = system.average_precision
    if not np.isfinite(ap).any():
        return None
    order = np.argsort(-ap, kind="stable")[: np.isfinite(ap).sum()]  # NaN comes last
    rank = np.arange(1, len(order) + 1)
    figure, axes = _axes(7.2, 3.6)
    behind = axes.twinx()
    behind.grid(visible=False)
    behind.fill_between(rank, 0.5, np.maximum(counts.clips[order], 0.5), step="mid", color="#e3e3e3", linewidth=0)
    behind.set(yscale="log", ylabel=f"{counts.of} of the class")
    behind.set_ylim(0.5, 0.5 * (2 * max(counts.clips.max(), 1)) ** 2.2)  # the lower half: AP is what this is about
    behind.yaxis.label.set_color("#777777")
    behind.tick_params(axis="y", colors="#777777", which="both")
    behind.set_yticks(10.0 ** np.arange(0, np.log10(max(counts.clips.max(), 10)) + 1e-9))
    behind.minorticks_off()
    _plain_log(behind.yaxis)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    if baseline is not None:
        dots: dict[str, Any] = {"marker": "o", "markersize": 2.6, "linestyle": "", "markeredgewidth": 0, "alpha": 0.75}
        axes.plot(rank, baseline.average_precision[order], color=colour[baseline.name], label=baseline.name, **dots)
    axes.plot(rank, ap[order], color=colour[system.name], linewidth=1.8, label=system.name)
    names = system.runs[0].classes.names
    _label(axes, f"best: {names[order[0]]}", (1, float(ap[order[0]])), (8, 2), "left")
    _label(axes, f"worst: {names[order[-1]]}", (len(order), float(ap[order[-1]])), (-4, 22), "right")
    axes.set(xlabel=f"classes, by their AP under {system.name}", ylabel="average precision")
    axes.set(xlim=(0.5, len(order) + 0.5), ylim=(0, 1.05))
    axes.legend(loc="upper right")
    return figure


def gain(system: System, baseline: System, counts: Counts, colour: Mapping[str, str]) -> Figure | None:
    """Draw each class's gain in AP over the baseline against its number of clips, with medians of ten groups.

    None where no class has clips and an AP under both.
    """
    difference = system.average_precision - baseline.average_precision
    good = np.isfinite(difference) & (counts.clips > 0)
    if not good.any():
        return None
    x, y = counts.clips[good].astype(np.float64), difference[good]
    names = [name for name, is_good in zip(system.runs[0].classes.names, good, strict=True) if is_good]
    figure, axes = _axes(7.2, 4.0)
    axes.axhline(0, color="#555555", linewidth=0.9)
    axes.scatter(x, y, s=11, color=colour[system.name], alpha=0.45, linewidth=0, label="a class")
    groups = np.array_split(np.argsort(x, kind="stable"), min(10, len(x)))
    centres = np.array([[np.exp(np.log(x[g]).mean()), np.median(y[g])] for g in groups if len(g)])
    axes.plot(*centres.T, color="#222222", marker="s", markersize=4, linewidth=1.2, label="median of a tenth of them")
    for i in {int(np.argmax(y)), int(np.argmin(y)), int(np.argmax(x))}:
        low = x[i] < np.sqrt(x.min() * x.max())
        _label(
            axes, names[i], (float(x[i]), float(y[i])), (0, 6), "left" if low else "right"
        )  # towards the middle: there is room
    axes.set(xscale="log", xlabel=f"{counts.of} of the class", ylabel=f"gain in AP over {baseline.name}")
    _plain_log(axes.xaxis)
    axes.margins(x=0.08, y=0.14)
    better = f"{system.name}: {(y > 0).mean():.0%} of {len(y)} classes gain"
    axes.legend(loc="best", title=better, alignment="left", title_fontsize=8)
    return figure


def training(systems: Sequence[System], colour: Mapping[str, str]) -> Figure | None:
    """Draw mAP on the hold-out over training steps: the mean over seeds, and their range; None of no hold-out."""
    figure, axes = _axes(7.2, 3.6)
    for system in systems:
        curves = [curve for run in system.runs if (curve := run.directory.curve("val/mAP"))]
        steps = sorted({step for curve in curves for step in curve})
        if not steps:
            continue
        # Where not every seed has come as far, a mean would jump.
        shared = [s for s in steps if all(s in curve for curve in curves)] or steps
        values = np.array([[curve.get(s, np.nan) for s in shared] for curve in curves])
        seeds = f"{len(curves)} seed{'s' if len(curves) > 1 else ''}"
        marker = "o" if len(shared) < 25 else None
        line: dict[str, Any] = {"color": colour[system.name], "linewidth": 1.6, "marker": marker, "markersize": 3}
        axes.plot(shared, np.nanmean(values, axis=0), label=f"{system.name} ({seeds})", **line)
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axes.fill_between(shared, low, high, color=colour[system.name], alpha=0.18, linewidth=0)
    if not axes.lines:
        return None
    axes.set(xlabel="training step", ylabel="mAP on the hold-out")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(loc="lower right")
    return figure


def calibration(evidence: Mapping[str, Evidence], colour: Mapping[str, str]) -> Figure:
    """Draw how often what was given a probability was so, and how many pairs were given it."""
    figure = Figure(figsize=(4.8, 5.2 + 0.18 * len(evidence)), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1, label="perfect")
    edges = np.linspace(0, 1, BINS + 1)
    for name, found in evidence.items():
        c = found.calibration
        label = f"{name}, ECE {c.error:.5f}"
        upper.plot(c.confidence, c.frequency, color=colour[name], marker="o", markersize=4, linewidth=1.4, label=label)
        lower.stairs(np.where(c.pairs > 0, c.pairs, np.nan), edges, color=colour[name], linewidth=1.4)
    upper.set(ylabel="share of them that have the class", xlim=(0, 1), ylim=(0, 1))
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center")
    lower.set(xlabel="predicted probability", ylabel="pairs of clip\nand class", yscale="log")
    lower.yaxis.set_major_locator(LogLocator(numticks=5))
    lower.minorticks_off()
    _plain_log(lower.yaxis)
    return figure


def precision_recall(
    systems: Mapping[str, Evidence], classes: Mapping[int, str], counts: Counts, colour: Mapping[str, str]
) -> Figure:
    """Draw precision over recall of each class asked for, a panel each."""
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


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with the numbers themselves."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _label(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], side: Literal["left", "right"]
) -> None:
    """Write beside a point, legible over whatever is drawn there."""
    note = axes.annotate(text, point, offset, textcoords="offset points", ha=side, fontsize=8)
    note.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
