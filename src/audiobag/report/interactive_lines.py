"""Calibration, precision and recall, training and localisation as figures of plotly.js, see `interactive`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from audiobag.pictures.browser import rounded
from audiobag.report.evidence import BINS, RECALL, Evidence
from audiobag.report.interactive import Plot, axis, trace
from audiobag.report.localisation import LOCATED, localised
from audiobag.report.plots import Counts, training_curve
from audiobag.report.systems import System
from audiobag.utils.plotting import cut

_SYMBOLS: Final = {"f": "circle", "p": "triangle-up", "F": "line-ew-open"}


def calibration(evidence: Mapping[str, Evidence], colour: Mapping[str, str]) -> Plot:
    """Return the share of positives at each predicted probability, above the number of pairs of a clip and a class.

    Args:
        evidence: of each system, by label.
        colour: of each system, by label.
    """
    diagonal = {"line": {"color": "#8a949a", "dash": "dash", "width": 1}, "hoverinfo": "skip"}
    data = [trace("lines", [0, 1], [0, 1], "perfect", name="perfect", **diagonal)]
    for label, found in evidence.items():
        c = found.calibration
        some = np.flatnonzero(c.pairs > 0)
        line = {"color": colour[label], "width": 1.6}
        data.append(
            trace(
                "lines+markers",
                rounded(c.confidence[some]),
                rounded(c.frequency[some]),
                label,
                name=f"{label}, ECE {c.error:.5f}",
                customdata=c.pairs[some].astype(int).tolist(),
                line=line,
                marker={"color": colour[label], "size": 6},
                hovertemplate=f"<b>{label}</b><br>predicted %{{x:.3f}}, found %{{y:.3f}}"
                "<br>%{customdata:,} pairs<extra></extra>",
            )
        )
        data.append(
            trace(
                "lines",
                rounded((np.arange(BINS) + 0.5) / BINS),
                [int(n) or None for n in c.pairs],
                label,
                yaxis="y2",
                line={**line, "shape": "hvh"},
                hovertemplate=f"<b>{label}</b><br>%{{y:,}} pairs<extra></extra>",
            )
        )
    layout = {
        "height": 420,
        "xaxis": axis("predicted probability", range=[0, 1], anchor="y2"),
        "yaxis": axis("share of positives", range=[0, 1.03], domain=[0.36, 1]),
        "yaxis2": axis("pairs", type="log", domain=[0, 0.24], dtick=1, tickformat="~s"),
    }
    return {"data": data, "layout": layout}


def precision_recall(
    evidence: Mapping[str, Evidence], classes: Mapping[int, str], counts: Counts, colour: Mapping[str, str]
) -> Plot:
    """Return precision against recall, with one panel per class.

    Args:
        evidence: of each system, by label.
        classes: index and name of the classes.
        counts: number of clips of each class.
        colour: of each system, by label.
    """
    across = min(2, len(classes))
    layout: dict[str, Any] = _grid(len(classes), across)
    layout |= {"height": 70 + 165 * -(-len(classes) // across)}
    data = []
    for n, (k, name) in enumerate(classes.items()):
        for label, found in evidence.items():
            data.append(
                {
                    **_panel(n),
                    "type": "scatter",
                    "mode": "lines",
                    "name": label,
                    "legendgroup": label,
                    "x0": 0,
                    "dx": float(RECALL[1]),
                    "y": rounded(found.precision[k], 3),
                    "line": {"color": colour[label], "width": 1.6},
                    "hovertemplate": f"<b>{name}</b><br>{label}"
                    "<br>recall %{x:.2f}, precision %{y:.3f}<extra></extra>",
                }
            )
        last = n + across >= len(classes)
        x = axis("recall") if last else {"showticklabels": False}
        y = {"showticklabels": False} if n % across else axis("precision")
        layout |= _axes(n, {**x, "range": [0, 1], "dtick": 0.5}, {**y, "range": [0, 1.03], "dtick": 0.5})
        layout["annotations"].append(_title(n, f"<b>{cut(name, 24)}</b>, {counts.clips[k]:,}"))
    return {"data": data, "layout": layout}


def training(systems: Sequence[System], colour: Mapping[str, str]) -> Plot | None:
    """Return the mAP on the hold-out over training, mean and range over seeds; None without a hold-out."""
    data: list[dict[str, Any]] = []
    for system in systems:
        found = training_curve(system)
        if found is None:
            continue
        several = f"<br>%{{customdata[0]:.4f}} to %{{customdata[1]:.4f}} over {found.seeds} seeds"
        data.append(
            trace(
                "lines+markers" if len(found.steps) < 25 else "lines",
                found.steps,
                rounded(found.mean, 5),
                system.label,
                name=f"{system.label} ({found.seeds} seed{'s' if found.seeds > 1 else ''})",
                customdata=rounded(np.stack([found.low, found.high], axis=1)),
                line={"color": colour[system.label], "width": 1.8},
                marker={"color": colour[system.label], "size": 5},
                hovertemplate=f"<b>{system.label}</b><br>step %{{x:,}}: %{{y:.4f}}"
                f"{several if found.seeds > 1 else ''}<extra></extra>",
            )
        )
        if found.seeds > 1:
            around = [*found.steps, *found.steps[::-1]], rounded(np.concatenate([found.high, found.low[::-1]]), 5)
            area: dict[str, Any] = {"fill": "toself", "fillcolor": _faint(colour[system.label]), "line": {"width": 0}}
            data.append(trace("lines", *around, system.label, hoverinfo="skip", **area))
    layout = {"height": 360, "xaxis": axis("training step", tickformat=","), "yaxis": axis("mAP on the hold-out")}
    return {"data": data, "layout": layout} if data else None


def localisation(systems: Sequence[System], colour: Mapping[str, str]) -> Plot | None:
    """Return frame mAP and pointing against the mAP of the clips; None without scores."""
    shown = [s for s in localised(systems) if s.values("test", "mAP")]
    layout: dict[str, Any] = _grid(len(LOCATED), len(LOCATED))
    layout |= {"height": 330}
    marked = {label: {"color": c, "line": {"color": c, "width": 2}} for label, c in colour.items()}
    data = []
    for n, (name, (title, kinds)) in enumerate(LOCATED.items()):
        layout |= _axes(n, axis("mAP of clips", nticks=4), {"nticks": 6})
        layout["annotations"].append(_title(n, f"<b>{title}</b>"))
        values = [(s, kind, [*s.localisation(kind, name).values()]) for s in shown for kind in kinds]
        data += [
            trace(
                "markers",
                [round(system.mAP, 5)],
                [round(float(np.mean(each)), 5)],
                system.label,
                name=system.label,
                marker={"size": 9, "symbol": _SYMBOLS[kind], **marked[system.label]},
                hovertemplate=f"<b>{system.label}</b><br>{title} of {kind}: %{{y:.4f}}"
                "<br>mAP of clips %{x:.4f}<extra></extra>",
                **_panel(n),
            )
            for system, kind, each in values
            if each
        ]
    return {"data": data, "layout": layout} if data else None


def _grid(panels: int, across: int) -> dict[str, Any]:
    """Return the part of a layout that places panels in rows."""
    rows = -(-panels // across)
    return {
        "margin": {"l": 55, "r": 12, "t": 24, "b": 55},
        "grid": {"rows": rows, "columns": across, "pattern": "independent", "xgap": 0.24, "ygap": 0.28},
        "annotations": [],
    }


def _panel(n: int) -> dict[str, str]:
    """Return the axes of a trace in the n-th panel of a grid."""
    return {"xaxis": f"x{n + 1}", "yaxis": f"y{n + 1}"} if n else {}


def _axes(n: int, x: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a layout that describes the axes of the n-th panel."""
    number = str(n + 1) if n else ""
    return {f"xaxis{number}": x, f"yaxis{number}": y}


def _title(n: int, text: str) -> dict[str, Any]:
    """Return a title above the n-th panel."""
    number = str(n + 1) if n else ""
    return {
        "text": text,
        "xref": f"x{number} domain",
        "yref": f"y{number} domain",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11},
    }


def _faint(colour: str) -> str:
    """Return a colour such as #0072B2, nearly transparent."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},0.18)"
