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


def trace(mode: str, x: Sequence[Any], y: Sequence[Any], label: str | None = None, **further: Any) -> dict[str, Any]:
    """Return points, lines or both.

    Args:
        mode: "markers", "lines" or "lines+markers".
        x: of each point.
        y: of each point.
        label: the button of the legend that shows and hides it; None for no button.
        **further: attributes of plotly.js.
    """
    group = {} if label is None else {"legendgroup": label}
    return {"type": "scatter", "mode": mode, "x": x, "y": y, **group, **further}


def axis(title: str, **further: Any) -> dict[str, Any]:
    """Return an axis with a title and further attributes of plotly.js."""
    return {"title": {"text": title}, **further}


def forest(rows: Sequence[ForestRow], xlabel: str) -> Plot:
    """Return a forest plot of differences; what cannot be told from 0 is grey."""
    data = []
    for strong, colour in ((True, "#0072B2"), (False, "#8a949a")):
        shown = [row for row in rows if row.strong is strong]
        bars = {"type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 0}
        data.append(
            trace(
                "markers",
                [row.value for row in shown],
                [row.label for row in shown],
                text=[row.text(sign=True) for row in shown],
                error_x={
                    **bars,
                    "array": [0 if row.high is None else row.high - row.value for row in shown],
                    "arrayminus": [0 if row.low is None else row.value - row.low for row in shown],
                },
                marker={"color": colour, "size": 9, "symbol": "square"},
                hovertemplate="%{y}: %{text}<extra></extra>",
            )
        )
    order = {"categoryorder": "array", "categoryarray": [row.label for row in reversed(rows)]}
    layout = {
        "height": 90 + 26 * len(rows),
        "margin": {"l": 10, "r": 12, "t": 8, "b": 45},
        "xaxis": axis(xlabel, zeroline=True, rangemode="tozero", tickformat="+", nticks=6, tickangle=0),
        "yaxis": {"automargin": True, "type": "category", "dtick": 1, **order, "range": [-0.6, len(rows) - 0.4]},
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
        names, line = system.runs[0].classes.names, colour[system.label]
        seen = {"visible": "legendonly"} if data else {}
        data.append(
            trace(
                "markers",
                counts.clips[good].tolist(),
                rounded(difference[good], 5),
                system.label,
                name=f"{system.label}: {(difference[good] > 0).mean():.0%} of classes gain",
                text=[names[k] for k in good],
                marker={"color": line, "size": 6, "opacity": 0.55},
                hovertemplate=f"<b>%{{text}}</b><br>%{{x:,}} {counts.of}<br>gain %{{y:+.4f}}<extra></extra>",
                **seen,
            )
        )
        x, y = group_medians(counts.clips[good].astype(np.float64), difference[good]).T
        data.append(
            trace(
                "lines+markers",
                [float(f"{v:.4g}") for v in x],
                rounded(y, 5),
                system.label,
                line={"color": line, "width": 2},
                marker={"symbol": "square", "size": 6, "line": {"width": 1, "color": "#ffffff"}},
                hovertemplate="median of a tenth of the classes: %{y:+.4f}<extra></extra>",
                **seen,
            )
        )
    layout = {
        "height": 360,
        "xaxis": axis(f"{counts.of} of the class", type="log", tickformat="~s", dtick="D2"),  # 1, 2 and 5
        "yaxis": axis(f"gain in AP over {cut(baseline.label)}", zeroline=True),
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
    frequency = np.maximum(counts.clips[order], 0.5).tolist()
    grey = {"fillcolor": "rgba(128, 128, 128, 0.2)", "line": {"width": 0, "shape": "hvh"}}
    behind = trace("lines", rank, frequency, yaxis="y2", hoverinfo="skip", fill="tozeroy") | grey
    data = [
        trace(
            "lines" if n == 0 else "markers",
            rank,
            rounded(system.average_precision[order], 5),
            system.label,
            name=system.label,
            text=names,
            line={"color": colour[system.label], "width": 2},
            marker={"color": colour[system.label], "size": 4, "opacity": 0.7},
            hovertemplate=f"<b>%{{text}}</b><br>{system.label}: %{{y:.4f}}<extra></extra>",
            **({"visible": "legendonly"} if n > 1 else {}),
        )
        for n, system in enumerate(systems)
    ]
    most = math.log10(2 * max(int(counts.clips.max()), 1))
    layout = {
        "height": 360,
        "xaxis": axis(f"classes, by their AP under {cut(first.label)}"),
        "yaxis": axis("average precision", range=[0, 1.03], dtick=0.2, overlaying="y2"),
        "yaxis2": axis(
            counts.of,
            side="right",
            type="log",
            range=[math.log10(0.5), math.log10(0.5) + 2.2 * most],  # the lower half
            tickvals=[10**e for e in range(math.ceil(most))],
            tickformat=",",
            showgrid=False,
        ),
        "margin": {"l": 55, "r": 60, "t": 12, "b": 55},
    }
    return {"data": [behind, *data], "layout": layout}
