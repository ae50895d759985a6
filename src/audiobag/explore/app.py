"""The page, made with Dash. It loads everything from this process."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, quote

from dash import Dash, Input, Output, dcc, html
from matplotlib.figure import Figure

from audiobag.explore.explored import SECTIONS, Explored, order
from audiobag.explore.guard import guard
from audiobag.explore.index import INDEX
from audiobag.pictures.clips import draw_clips
from audiobag.report import plots
from audiobag.report.clip_selection import class_index
from audiobag.utils.errors import InputError
from audiobag.utils.plotting import png, style


def make_app(opened: Sequence[Explored]) -> Dash:
    """Return the page for one run or two; its attribute `server` is a WSGI application.

    The address contains the class on display, as in `?class=Dog`, so that it can be bookmarked.
    """
    app = Dash("audiobag.explore", title="audiobag explore", update_title="", serve_locally=True, index_string=INDEX)
    app.layout = _layout(opened)
    lock = Lock()  # matplotlib is not thread-safe

    @app.callback(
        Output("rows", "children"), Output("shown", "children"), Input("find", "value"), Input("sort", "value")
    )
    def rows(find: str | None, by: str) -> tuple[list[Any], str]:
        shown = order(opened, by, find or "")
        return [_row(opened, k) for k in shown], f"{len(shown)} of {len(opened[0].classes)} classes"

    @app.callback(Output("detail", "children"), Input("place", "search"))
    def detail(search: str | None) -> list[Any]:
        wanted = parse_qs((search or "").removeprefix("?")).get("class")
        with lock:
            if not wanted:
                return _overview(opened)
            try:
                return _class(opened, class_index(opened[0].classes, wanted[0], "class"))
            except InputError as error:
                return [html.P(f"{error}.", id="error")]

    guard(app)
    return app


def _layout(opened: Sequence[Explored]) -> html.Div:
    first = opened[0]
    sorts = {"name": "name", "clips": f"{first.counts.of}", "AP": _heads(opened)[0]}
    columns = ["Class", first.counts.of.capitalize(), *_heads(opened)]
    if len(opened) > 1:
        sorts["difference"] = "difference"
    which = ("first, ", "second, ") if len(opened) > 1 else ("",)
    about = "; ".join(
        f"{w}{o.name}: mAP {o.run.metrics['test']['mAP']:.4f}" for w, o in zip(which, opened, strict=True)
    )
    search = [
        html.Label("Find a class", htmlFor="find"),
        dcc.Input(id="find", type="search", value="", placeholder="e.g. Speech", autoComplete="off"),
        dcc.RadioItems(sorts, [*sorts][-1], id="sort"),
        html.P(id="shown"),
        html.Table([html.Thead(html.Tr([html.Th(c) for c in columns])), html.Tbody(id="rows")]),
    ]
    return html.Div(
        [
            dcc.Location(id="place", refresh=False),
            html.Header(
                [
                    html.H1(" compared with ".join(o.name for o in reversed(opened))),
                    html.P([f"{about}; {len(first.store):,} clips. ", dcc.Link("Overview", href="?")]),
                ]
            ),
            html.Div([html.Div(search, id="classes"), html.Div(id="detail")], className="columns"),
        ],
        className="page",
    )


def _row(opened: Sequence[Explored], k: int) -> html.Tr:
    name = opened[0].classes[k]
    cells = [html.Td(dcc.Link(name, href=f"?class={quote(name, safe='')}")), html.Td(f"{opened[0].counts.clips[k]:,}")]
    return html.Tr([*cells, *(html.Td(text) for text in _scores(opened, k))])


def _heads(opened: Sequence[Explored]) -> list[str]:
    """Return the column heads of the scores. The names of the runs can be long, and are at the top of the page."""
    return ["AP"] if len(opened) == 1 else ["AP, first", "AP, second", "Difference"]


def _scores(opened: Sequence[Explored], k: int) -> list[str]:
    """Return the AP of each run and, for two runs, the second minus the first."""
    values = [float(o.run.classes.average_precision[k]) for o in opened]
    texts = ["-" if math.isnan(value) else f"{value:.4f}" for value in values]
    if len(values) > 1:
        difference = values[1] - values[0]
        texts.append("-" if math.isnan(difference) else f"{difference:+.4f}")
    return texts


def _overview(opened: Sequence[Explored]) -> list[Any]:
    """Show the AP of all classes for one run, or the differences in AP for two."""
    first, last = opened[0], opened[-1]
    systems = [o.system for o in opened]
    colour = plots.colours(systems)
    with style():
        if len(opened) > 1:
            figure, what = (
                plots.gain(systems[1], systems[0], first.counts, colour),
                f"AP of {last.name} minus {first.name}",
            )
        else:
            figure, what = plots.per_class(systems[0], None, first.counts, colour), f"AP of each class, {first.name}"
        picture = [] if figure is None else [_image(figure, what)]
    return [html.H2(what), html.P("Select a class to see its clips."), *picture]


def _class(opened: Sequence[Explored], k: int) -> list[Any]:
    first = opened[0]
    name = first.classes[k]
    columns = {"Eval clips": int(first.positive[:, k].sum()), first.counts.of.capitalize(): int(first.counts.clips[k])}
    heads = [*columns, *_heads(opened)]
    cells = [*(f"{count:,}" for count in columns.values()), *_scores(opened, k)]
    table = html.Table(
        [html.Thead(html.Tr([html.Th(h) for h in heads])), html.Tbody(html.Tr([html.Td(c) for c in cells]))],
        id="scores",
    )
    note = html.P("F is shown beside the class names. Ticks mark the labels of the clip." + _selection(opened))
    children: list[Any] = [html.H2(name), table, note]
    try:
        return children + [
            part for section, rows in first.clips(k).items() for part in _section(opened, section, rows, k)
        ]
    except InputError as error:
        return [*children, html.P(f"No clips are shown: {error}.", className="error")]


def _section(opened: Sequence[Explored], section: str, rows: Sequence[int], k: int) -> list[Any]:
    heading = html.H3(SECTIONS[section])
    if not rows:
        return [heading, html.P("No such clips.")]
    both = [o.look(rows, k, o.name if len(opened) > 1 else "") for o in opened]
    figure = draw_clips([shown for same in zip(*both, strict=True) for shown in same])
    return [heading, _image(figure, f"{SECTIONS[section]}, of {opened[0].classes[k]}")]


def _selection(opened: Sequence[Explored]) -> str:
    return f" Clips are selected by F of {opened[0].name} and shown for both runs." if len(opened) > 1 else ""


def _image(figure: Figure, what: str) -> html.Img:
    return html.Img(src="data:image/png;base64," + base64.b64encode(png(figure)).decode(), alt=what)
