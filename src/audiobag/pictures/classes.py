"""Figures of classes: precision and recall, AP against frequency."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from audiobag.pictures.curves import precision_recall_curve, spread
from audiobag.utils.plotting import annotate, cut, figure_axes, group_medians, plain_log

_names_as_text = matplotlib.rc_context({"text.parse_math": False})  # a $ in a name does not start a formula


@_names_as_text
def precision_recall(
    probability: NDArray[np.float32],
    positive: NDArray[np.bool_],
    names: Sequence[str],
    clips: NDArray[np.int64],
    average_precision: NDArray[np.float64],
) -> Figure:
    """Draw precision against recall for six classes, from the most frequent to the rarest.

    Args:
        probability: [N, K].
        positive: [N, K].
        names: K names.
        clips: [K], number of training clips of each class.
        average_precision: [K], NaN for a class without positives.
    """
    figure, axes = figure_axes(6, 4.4)
    for k in spread(clips, np.isfinite(average_precision)):
        precision, hits = precision_recall_curve(probability[:, k], positive[:, k])
        recall = hits / hits[-1]
        label = f"{cut(names[k])}: AP {average_precision[k]:.3f}, {clips[k]:,} training clips"
        axes.step([*recall[::-1], 0], [*precision[::-1], 1], where="post", linewidth=1.3, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    _plain(axes)
    if axes.lines:
        axes.legend(fontsize=7, frameon=False)
    return figure


@_names_as_text
def ap_against_frequency(
    average_precision: NDArray[np.float64], clips: NDArray[np.int64], names: Sequence[str]
) -> Figure:
    """Draw the AP of each class against its number of training clips, with the medians of ten groups of classes.

    Args:
        average_precision: [K], NaN for a class without positives.
        clips: [K], number of training clips of each class.
        names: K names.
    """
    figure, axes = figure_axes(6.4, 4)
    good = np.isfinite(average_precision) & (clips > 0)
    if good.any():
        scatter_classes(
            axes, clips[good], average_precision[good], [names[k] for k in np.flatnonzero(good).tolist()], "C0"
        )
        axes.legend(fontsize=7, frameon=False, loc="upper center")
    axes.set(xlabel="training clips of the class", ylabel="average precision", ylim=(0, 1.05))
    _plain(axes)
    return figure


def scatter_classes(
    axes: Axes, clips: NDArray[np.int64], values: NDArray[np.float64], names: Sequence[str], colour: str
) -> None:
    """Draw a value of each class against its number of clips, with medians of ten groups and the names of extremes.

    Args:
        axes: where to draw.
        clips: [K], positive.
        values: [K].
        names: K names.
        colour: of the points.
    """
    x = clips.astype(np.float64)
    axes.scatter(x, values, s=11, color=colour, alpha=0.45, linewidth=0, label="a class")
    medians = group_medians(x, values).T
    axes.plot(*medians, color="#222222", marker="s", markersize=4, linewidth=1.2, label="median of a tenth of them")
    for i in {int(values.argmax()), int(values.argmin()), int(x.argmax())}:
        low = x[i] < np.sqrt(x.min() * x.max())  # the name extends towards the middle, where there is room
        annotate(axes, cut(names[i]), (float(x[i]), float(values[i])), (0, 6), "left" if low else "right")
    axes.set_xscale("log")
    plain_log(axes.xaxis)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
