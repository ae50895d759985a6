"""Pictures that answer to the pointer, as figures of plotly.js: dictionaries that the page draws in the browser.

The page has the partial bundle "basic" of plotly.js inside it (1.2 MB), and draws with the colours of the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.pictures.forest import ForestRow
from audiobag.report.plots import Counts
from audiobag.report.systems import System
from audiobag.utils.plotting import cut, group_medians

Plot = dict[str, Any]
"""`data` and `layout` of plotly.js, of plain values."""

_WIDE = {"orientation": "h", "y": -0.24, "x": 0}


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
        "showlegend": False,
        "margin": {"l": 10, "r": 12, "t": 8, "b": 45},
        "xaxis": {"title": {"text": xlabel}, "zeroline": True, "tickformat": "+.3f", "nticks": 6},
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
                "y": _rounded(difference[good]),
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
                "showlegend": False,
                "x": [float(f"{v:.4g}") for v in x],
                "y": _rounded(y),
                "line": {"color": colour[system.label], "width": 2},
                "marker": {"symbol": "square", "size": 6, "line": {"width": 1, "color": "#ffffff"}},
                "hovertemplate": "median of a tenth of the classes: %{y:+.4f}<extra></extra>",
            }
        )
    layout = {
        "height": 380,
        "legend": _WIDE,
        "xaxis": {"type": "log", "title": {"text": f"{counts.of} of the class"}, "tickformat": ",", "nticks": 6},
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
        "showlegend": False,
    }
    data = [
        {
            "type": "scatter",
            "mode": "lines" if n == 0 else "markers",
            "name": system.label,
            "x": rank,
            "y": _rounded(system.average_precision[order]),
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
        "height": 380,
        "legend": _WIDE,
        "xaxis": {"title": {"text": f"classes, by their AP under {cut(first.label)}"}},
        "yaxis": {"title": {"text": "average precision"}, "range": [0, 1.03], "overlaying": "y2"},
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


def parallel(columns: Mapping[str, Sequence[str]], values: Sequence[float], what: str) -> Plot:
    """Return parallel coordinates of a search: a line for each system through its options to its score.

    Args:
        columns: the value of each system, as text, for each option.
        values: the score of each system.
        what: name of the score.
    """
    low, high = min(values), max(values)
    placed = {name: _placed(texts) for name, texts in columns.items()}
    score = [(v - low) / (high - low or 1) for v in values]
    heads = [*columns, what]
    data: list[dict[str, Any]] = []
    for i in sorted(range(len(values)), key=lambda i: values[i]):
        named = "<br>".join(f"{name} {texts[i]}" for name, texts in columns.items())
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(range(len(heads))),
                "y": [*(at[i] for at in placed.values()), score[i]],
                "line": {"color": _scale(score[i]), "width": 1.2 + 2 * score[i] ** 3},
                "opacity": 0.35 + 0.65 * score[i],
                "hovertemplate": f"{named}<br><b>{what} {values[i]:.4f}</b><extra></extra>",
            }
        )
    ticks = [(x, _ticks(at, columns[name])) for x, (name, at) in enumerate(placed.items())]
    notes = [(x, at, text) for x, of in ticks for at, text in of]
    notes += [(len(heads) - 1, 0.0, f"{low:.4f}"), (len(heads) - 1, 1.0, f"{high:.4f}")]
    layout = {
        "height": 400,
        "showlegend": False,
        "hovermode": "closest",
        "margin": {"l": 40, "r": 50, "t": 20, "b": 60},
        "xaxis": {
            "tickvals": list(range(len(heads))),
            "ticktext": heads,
            "showgrid": True,
            "range": [-0.2, len(heads) - 0.7],
        },
        "yaxis": {"visible": False, "range": [-0.06, 1.06]},
        "annotations": [
            {
                "x": x,
                "y": y,
                "text": cut(text, 14),
                "showarrow": False,
                "xanchor": "left",
                "xshift": 4,
                "font": {"size": 11},
            }
            for x, y, text in notes
        ],
    }
    return {"data": data, "layout": layout}


def bars(shares: Mapping[str, float], xlabel: str) -> Plot:
    """Return horizontal bars, the first on top."""
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": _rounded(np.array([*shares.values()])[::-1]),
            "y": [*shares][::-1],
            "marker": {"color": "#0072B2"},
            "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
        }
    ]
    layout = {
        "height": 110 + 30 * len(shares),
        "margin": {"l": 10, "r": 12, "t": 8, "b": 45},
        "xaxis": {"title": {"text": xlabel}, "rangemode": "tozero"},
        "yaxis": {"automargin": True, "type": "category"},
    }
    return {"data": data, "layout": layout}


def _placed(texts: Sequence[str]) -> list[float]:
    """Return a place between 0 and 1 for each value: numbers by size, logarithmic if they span much; others by rank."""
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        order = sorted(set(texts))
        return [order.index(text) / max(len(order) - 1, 1) for text in texts]
    if numbers.min() > 0 and numbers.max() >= 8 * numbers.min():
        numbers = np.log(numbers)
    span = float(np.ptp(numbers)) or 1.0
    return [float(v) for v in (numbers - numbers.min()) / span]


def _ticks(places: Sequence[float], texts: Sequence[str]) -> list[tuple[float, str]]:
    """Return place and text of each value if there are few, otherwise of the lowest and the highest."""
    every = sorted(dict(zip(texts, places, strict=True)).items(), key=lambda tick: tick[1])
    return [(at, text) for text, at in (every if len(every) <= 6 else (every[0], every[-1]))]


def _scale(share: float) -> str:
    """Return a colour between grey and blue."""
    one, other = np.array([170, 178, 184]), np.array([0, 114, 178])
    r, g, b = (one + (other - one) * share).astype(int).tolist()
    return f"rgb({r},{g},{b})"


def _rounded(values: NDArray[np.floating]) -> list[float | None]:
    return [round(v, 5) if np.isfinite(v) else None for v in values.tolist()]
