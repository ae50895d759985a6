"""The pictures that trackers get, drawn without a display; each function makes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_precision_recall_curve

from audiobag.pictures import Shown, cut, heat_map

_names_as_text = matplotlib.rc_context({"text.parse_math": False})  # a $ in a name begins no formula


@_names_as_text
def heat_maps(clips: Sequence[Shown], step: int) -> Figure:
    """Draw p and f of each clip over time, a row a clip, a line a class."""
    rows = [len(clip.classes) for clip in clips]
    figure = Figure(figsize=(9, 1.1 + sum(0.28 * r + 0.55 for r in rows)), layout="constrained")
    grid: NDArray[Any] = figure.subplots(len(clips), 2, squeeze=False, sharex=False, height_ratios=rows)
    figure.suptitle(f"step {step:,}", fontsize=9)
    for row, clip in zip(grid, clips, strict=True):
        for axes, values, top in ((row[0], clip.measure, None), (row[1], clip.frame, 1.0)):
            heat_map(axes, values, clip.seconds, top)
        row[0].set_title(clip.title, fontsize=8, loc="left")
        row[0].set_yticks(range(len(clip.classes)), [cut(c) for c in clip.classes], fontsize=7)
        row[1].set_yticks(range(len(clip.classes)), [f"F = {p:.2f}" for p in clip.clip], fontsize=7)
    grid[0, 0].text(1, 1.02, "measure p", transform=grid[0, 0].transAxes, ha="right", va="bottom", fontsize=8)
    grid[0, 1].set_title("instance probability f", fontsize=8, loc="right")
    for axes in grid[-1]:
        axes.set_xlabel("seconds", fontsize=8)
    return figure


@_names_as_text
def precision_recall(
    probability: NDArray[np.float32],
    positive: NDArray[np.bool_],
    names: Sequence[str],
    clips: NDArray[np.int64],
    average_precision: NDArray[np.float64],
) -> Figure:
    """Draw precision over recall of six classes, from the most frequent to the rarest.

    Args:
        probability: [N, K].
        positive: [N, K].
        names: K.
        clips: [K], training clips of each class.
        average_precision: [K], NaN where the class has no positives.
    """
    figure = Figure(figsize=(6, 4.4), layout="constrained")
    axes = figure.subplots()
    for k in spread(clips, np.isfinite(average_precision)):
        curve = binary_precision_recall_curve(torch.from_numpy(probability[:, k]), torch.from_numpy(positive[:, k]))
        label = f"{cut(names[k])}: AP {average_precision[k]:.3f}, {clips[k]:,} training clips"
        axes.step(curve[1], curve[0], where="post", linewidth=1.3, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    _plain(axes)
    if axes.lines:
        axes.legend(fontsize=7, frameon=False)
    return figure


@_names_as_text
def ap_against_frequency(
    average_precision: NDArray[np.float64], clips: NDArray[np.int64], names: Sequence[str]
) -> Figure:
    """Draw AP [K] against the number of training clips [K], with medians of ten groups of rising frequency."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    good = np.isfinite(average_precision) & (clips > 0)
    x, y = clips[good].astype(np.float64), average_precision[good]
    axes.scatter(x, y, s=10, alpha=0.5, linewidth=0, label="a class")
    if len(x):
        groups = np.array_split(np.argsort(x, kind="stable"), min(10, len(x)))
        centres = np.array([[np.exp(np.log(x[g]).mean()), np.median(y[g])] for g in groups])
        axes.plot(*centres.T, color="#222222", marker="s", markersize=4, linewidth=1.2, label="median of a tenth")
        shown = np.array(names, dtype=object)[good]
        for i in {int(y.argmax()), int(y.argmin()), int(x.argmax())}:
            left = x[i] < np.sqrt(x.min() * x.max())
            side: dict[str, Any] = {"ha": "left" if left else "right", "xytext": (4 if left else -4, 5)}
            axes.annotate(cut(str(shown[i])), (x[i], y[i]), textcoords="offset points", fontsize=7, **side)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="training clips of the class", ylabel="average precision", ylim=(0, 1.05))
    axes.legend(fontsize=7, frameon=False, loc="upper center")
    _plain(axes)
    return figure


def spread(clips: NDArray[np.int64], good: NDArray[np.bool_], count: int = 6) -> list[int]:
    """Return up to `count` of the good classes, at ranks of frequency in equal ratios: the tail is long."""
    order = [int(k) for k in np.argsort(-clips, kind="stable") if good[k]]
    if not order:
        return []
    ranks = np.unique(np.geomspace(1, len(order), count).round().astype(int)) - 1
    return [order[rank] for rank in ranks]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
