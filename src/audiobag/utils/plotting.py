"""Helpers for matplotlib figures: one style, heat maps, labels, PNG files. Figures need no display."""

from __future__ import annotations

import io
import warnings
from contextlib import AbstractContextManager
from typing import Any, Final, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

# The palette of Okabe and Ito, which colour-blind readers can tell apart. Its yellow is darkened for lines.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B5A800")
_HEAT: Final = matplotlib.colormaps["viridis"]
_STYLE: Final[dict[Any, Any]] = {
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
    "text.parse_math": False,  # a $ in a name does not start a formula
}


def style() -> AbstractContextManager[None]:
    """Return a context manager in which figures are drawn and saved in one style."""
    return matplotlib.rc_context(_STYLE)


def figure_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of a size in inches, and its only axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def png(figure: Figure, dpi: int = 130) -> bytes:
    """Return a figure as the content of a PNG file; a character that the font lacks becomes a box."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def cut(text: str, length: int = 28) -> str:
    """Return a text on one line, shortened to `length` characters with an ellipsis at its end."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def heat_map(
    axes: Axes, values: NDArray[np.floating], column_width: float, top: float | None, start: float = 0.0
) -> None:
    """Draw a heat map with a colour bar.

    Args:
        axes: where to draw.
        values: [rows, columns], not negative.
        column_width: width of a column on the x axis.
        top: upper end of the colour scale; None for the highest value.
        start: left end of the first column on the x axis.
    """
    rows, columns = values.shape
    highest = top or max(float(values.max(initial=0)), 1e-9)
    extent = (start, start + columns * column_width, rows - 0.5, -0.5)
    image = axes.imshow(values, _HEAT, aspect="auto", vmin=0, vmax=highest, extent=extent, interpolation="auto")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, ticks=[0, highest])
    bar.ax.set_yticklabels(["0", f"{highest:.2g}" if highest < 0.01 else f"{highest:.2f}"], fontsize=6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=columns * column_width > 2, nbins=6))
    axes.tick_params(labelsize=7)


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, such as 1,000."""
    axis.set_major_formatter("{x:,.0f}")
    axis.set_minor_formatter(NullFormatter())


def annotate(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], side: Literal["left", "right"]
) -> None:
    """Write a text beside a point, with a white outline that keeps it readable over other marks."""
    note = axes.annotate(text, point, offset, textcoords="offset points", ha=side, fontsize=8)
    note.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def group_medians(x: NDArray[np.floating], y: NDArray[np.floating], groups: int = 10) -> NDArray[np.float64]:
    """Return [G, 2]: the geometric mean of x and the median of y in groups of equal size and rising x.

    Args:
        x: [N], positive.
        y: [N].
        groups: number of groups; fewer where there are fewer points.
    """
    parts = np.array_split(np.argsort(x, kind="stable"), min(groups, len(x)))
    return np.array([[np.exp(np.log(x[part]).mean()), np.median(y[part])] for part in parts])
