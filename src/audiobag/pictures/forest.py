"""Forest plots: an estimate and its interval in each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from audiobag.utils.plotting import cut, style

_COLOUR = "#0072B2"
_SOFT = "#8a949a"


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A row of a forest plot.

    Attributes:
        label: name of the row.
        value: the estimate.
        low: lower end of its interval; None if there is none.
        high: upper end.
        strong: drawn in colour; other rows are grey.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    strong: bool = True

    def text(self, digits: int = 4, sign: bool = False) -> str:
        """Return the estimate and its interval as text, such as `0.2511 (0.2490 to 0.2530)`."""
        form = f"{'+' if sign else ''}.{digits}f"
        ends = "" if self.low is None or self.high is None else f" ({self.low:{form}} to {self.high:{form}})"
        return f"{self.value:{form}}{ends}"


def draw_forest(
    rows: Sequence[ForestRow],
    xlabel: str,
    *,
    lines: Mapping[str, float] | None = None,
    zero: bool = False,
    digits: int = 4,
) -> Figure:
    """Draw estimates with their intervals, the first row on top, and their numbers beside them.

    Args:
        rows: at least one.
        xlabel: what the numbers are.
        lines: values to mark with a vertical line, by name, such as published results.
        zero: the values are differences: mark 0, and write their signs.
        digits: decimal digits of the numbers.
    """
    marks = dict(lines or {})
    with style():
        figure = Figure(figsize=(7.2, 0.9 + 0.27 * len(rows) + 0.2 * bool(marks)), layout="constrained")
        axes = figure.subplots()
        if zero:
            axes.axvline(0, color="#555555", linewidth=0.9)
        for name, at in marks.items():
            axes.axvline(at, color="#D55E00", linewidth=0.9, linestyle="--")
            axes.annotate(
                cut(name), (at, 1), (2, 2), ("data", "axes fraction"), "offset points", fontsize=7.5, color="#D55E00"
            )
        for y, row in enumerate(rows):
            colour = _COLOUR if row.strong else _SOFT
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot(row.value, y, color=colour, marker="s", markersize=5)
        axes.set_yticks(range(len(rows)), [cut(row.label, 40) for row in rows])
        axes.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.margins(x=0.04)
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(range(len(rows)), [row.text(digits, zero) for row in rows])
        beside.tick_params(axis="y", length=0)
        beside.spines["right"].set_visible(False)
    return figure
