"""Pictures that answer to the pointer, as figures of plotly.js: dictionaries that the page draws in the browser.

The page has the partial bundle "basic" of plotly.js inside it (1.2 MB), draws with the colours of the page and makes
the legend: a button for each `legendgroup`, with the name of its first trace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from audiobag.pictures.browser import rounded
from audiobag.pictures.forest import ForestRow
from audiobag.report.plots import Counts
from audiobag.report.systems import System
from audiobag.utils.plotting import cut, group_medians

Plot = dict[str, Any]
"""`data` and `layout` of plotly.js, of plain values."""


@cache
def plotly() -> str:
    """Return the source of plotly.js."""
    return (files("audiobag") / "assets" / "plotly-basic.min.js").read_text(encoding="utf-8")


def forest(rows: Sequence[ForestRow], xlabel: str) -> Plot:
    """Return a forest plot of differences; what cannot be told from 0 is grey."""
    data = []
    for strong, colour in ((True, "#0072B2"), (False, "#8a949a")):
        shown = [row for row in rows if row.strong is strong]
        ends = [(row.low, row.high) if row.low is not None and row.high is not None else None for row in shown]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [row.value for row in shown],
                "y": [row.label for row in shown],
                "text": [row.text(sign=True) for row in shown],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [0 if e is None else e[1] - row.value for row, e in zip(shown, ends, strict=True)],
                    "arrayminus": [0 if e is None else row.value - e[0] for row, e in zip(shown, ends, strict=True)],
                    "color": colour,
                    "thickness": 2,
                    "width": 0,
                },
                "marker": {"color": colour, "size": 9, "symbol": "square"},
                "hovertemplate": "%{y}: %{text}<extra></extra>",
            }
        )
    order = [row.label for row in reversed(rows)]
    layout = {
        "height": 90 + 26 * len(rows),
        "margin": {"l": 10, "r": 12, "t": 8, "b": 45},
        "xaxis": {
            "title": {"text": xlabel},
            "zeroline": True,
            "rangemode": "tozero",
            "tickformat": "+",
            "nticks": 6,
            "tickangle": 0,
        },
        "yaxis": {
            "automargin": True,
            "type": "category",
            "dtick": 1,
            "categoryorder": "array",
            "categoryarray": order,
            "range": [-0.6, len(rows) - 0.4],
        },
    }
    return {"data": data, "layout": layout}


def gain(systems: Sequence[System], baseline: System, counts: Counts, colour: Mapping[str, str]) -> Plot | None:
    """Return the gain in AP of each class over the baseline against its number of clips; None if there is none.

    Args:
        systems: best first; the first is shown, the others when their name in the legend is clicked.
        baseline: the system to compare with.
        counts: number of clips of each class.
        colour: of each system, by label.
    """
    data: list[dict[str, Any]] = []
    for system in systems:
        difference = system.average_precision - baseline.average_precision
        good = np.flatnonzero(np.isfinite(difference) & (counts.clips > 0))
        if not len(good):
            continue
        names = system.runs[0].classes.names
        common = {"legendgroup": system.label, **({"visible": "legendonly"} if data else {})}
        data.append(
            {
                **common,
                "type": "scatter",
                "mode": "markers",
                "name": f"{system.label}: {(difference[good] > 0).mean():.0%} of classes gain",
                "x": counts.clips[good].tolist(),
                "y": rounded(difference[good], 5),
                "text": [names[k] for k in good],
                "marker": {"color": colour[system.label], "size": 6, "opacity": 0.55},
                "hovertemplate": f"<b>%{{text}}</b><br>%{{x:,}} {counts.of}<br>gain %{{y:+.4f}}<extra></extra>",
            }
        )
        x, y = group_medians(counts.clips[good].astype(np.float64), difference[good]).T
        data.append(
            {
                **common,
                "type": "scatter",
                "mode": "lines+markers",
                "x": [float(f"{v:.4g}") for v in x],
                "y": rounded(y, 5),
                "line": {"color": colour[system.label], "width": 2},
                "marker": {"symbol": "square", "size": 6, "line": {"width": 1, "color": "#ffffff"}},
                "hovertemplate": "median of a tenth of the classes: %{y:+.4f}<extra></extra>",
            }
        )
    layout = {
        "height": 360,
        "xaxis": {
            "type": "log",
            "title": {"text": f"{counts.of} of the class"},
            "tickformat": "~s",
            "dtick": "D2",  # 1, 2 and 5
        },
        "yaxis": {"title": {"text": f"gain in AP over {cut(baseline.label)}"}, "zeroline": True},
    }
    return {"data": data, "layout": layout} if data else None


def per_class(systems: Sequence[System], counts: Counts, colour: Mapping[str, str]) -> Plot | None:
    """Return the AP of each class, sorted by that of the first system; None if no class has an AP.

    Args:
        systems: the first is a line, the others are points.
        counts: number of clips of each class.
        colour: of each system, by label.
    """
    first = systems[0]
    ap = first.average_precision
    order = np.argsort(-ap, kind="stable")[: np.isfinite(ap).sum()]
    if not len(order):
        return None
    names = [first.runs[0].classes.names[k] for k in order]
    rank = list(range(1, len(order) + 1))
    behind = {
        "type": "scatter",
        "mode": "lines",
        "x": rank,
        "y": np.maximum(counts.clips[order], 0.5).tolist(),
        "yaxis": "y2",
        "fill": "tozeroy",
        "fillcolor": "rgba(128, 128, 128, 0.2)",
        "line": {"width": 0, "shape": "hvh"},
        "hoverinfo": "skip",
    }
    data = [
        {
            "type": "scatter",
            "mode": "lines" if n == 0 else "markers",
            "name": system.label,
            "legendgroup": system.label,
            "x": rank,
            "y": rounded(system.average_precision[order], 5),
            "text": names,
            "line": {"color": colour[system.label], "width": 2},
            "marker": {"color": colour[system.label], "size": 4, "opacity": 0.7},
            "hovertemplate": f"<b>%{{text}}</b><br>{system.label}: %{{y:.4f}}<extra></extra>",
            **({"visible": "legendonly"} if n > 1 else {}),
        }
        for n, system in enumerate(systems)
    ]
    most = math.log10(2 * max(int(counts.clips.max()), 1))
    layout = {
        "height": 360,
        "xaxis": {"title": {"text": f"classes, by their AP under {cut(first.label)}"}},
        "yaxis": {"title": {"text": "average precision"}, "range": [0, 1.03], "dtick": 0.2, "overlaying": "y2"},
        "yaxis2": {
            "title": {"text": f"{counts.of}"},
            "side": "right",
            "type": "log",
            "range": [math.log10(0.5), math.log10(0.5) + 2.2 * most],  # the lower half
            "tickvals": [10**e for e in range(math.ceil(most))],
            "tickformat": ",",
            "showgrid": False,
        },
        "margin": {"l": 55, "r": 60, "t": 12, "b": 55},
    }
    return {"data": [behind, *data], "layout": layout}
