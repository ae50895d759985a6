"""Pictures of a search, for plotly.js: parallel coordinates and importances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audiobag.pictures.browser import rounded
from audiobag.report.interactive import Plot
from audiobag.utils.plotting import cut


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
            "x": rounded(np.array([*shares.values()])[::-1]),
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
