"""The page, on Dash: everything it shows and loads comes from this process."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs, quote

from dash import Dash, Input, Output, dcc, html
from flask import Response, abort, request
from matplotlib.figure import Figure

from audiobag.choosing import class_index
from audiobag.errors import UserError
from audiobag.explore.explored import SECTIONS, Explored, order
from audiobag.pictures import draw_clips, png
from audiobag.report import plots

_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
# What the browser may load, whoever wrote the script that asks for it.
_POLICY: Final = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLE: Final = """
:root { --ink: #1d2327; --soft: #5d686f; --line: #d9dee1; --wash: #f5f7f8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Arial, sans-serif; }
header { padding: 1rem 1.5rem .8rem; border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 1.3rem; overflow-wrap: anywhere; }
h2 { margin: 0 0 .2rem; font-size: 1.25rem; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
p { margin: .2rem 0; color: var(--soft); }
a { color: var(--accent); text-decoration: none; }
.page { display: flex; flex-direction: column; height: 100vh; }
.columns { display: grid; grid-template-columns: minmax(31rem, 32%) 1fr; flex: 1; min-height: 0; }
#classes { padding: 1rem 1.5rem; border-right: 1px solid var(--line); overflow-y: auto; }
#detail { padding: 1rem 1.5rem 3rem; overflow-y: auto; }
#detail img { display: block; max-width: 100%; }
#find { width: 100%; padding: .4rem .6rem; border: 1px solid #9aa5ab; border-radius: 4px; font: inherit; }
#sort { display: flex; flex-wrap: wrap; gap: .2rem .9rem; margin: .5rem 0; font-size: .87rem; }
#sort label { display: inline-flex; gap: .3rem; align-items: center; }
table { width: 100%; border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .3rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { font-weight: 600; }
th:first-child, td:first-child { min-width: 8rem; text-align: left; overflow-wrap: anywhere; }
tr:hover > td { background: var(--wash); }
#scores { width: auto; margin-top: .6rem; }
#scores th, #scores td { min-width: 0; padding: .25rem .9rem .25rem 0; }
"""
_INDEX: Final = """<!DOCTYPE html>
<html lang="en"><head>{%metas%}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%title%}</title>{%favicon%}{%css%}<style>STYLE</style></head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>
""".replace("STYLE", _STYLE)


def make_app(opened: Sequence[Explored]) -> Dash:
    """Return the page over one run, or two: a WSGI application in its `server`.

    Which class is shown stands in the address, `?class=Dog`, so that it can be noted and opened again.
    """
    app = Dash("audiobag.explore", title="audiobag explore", update_title="", serve_locally=True, index_string=_INDEX)
    app.layout = _layout(opened)
    lock = Lock()  # one figure at a time: matplotlib's fonts are shared

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
            except UserError as error:
                return [html.P(f"{error}.", id="error")]

    _guard(app)
    return app


def _guard(app: Dash) -> None:
    """Answer this machine alone, whatever name another page gave it, and let the browser ask no other server."""
    policy = _POLICY.format(hashes=" ".join(app.csp_hashes()))  # Dash quotes each

    @app.server.before_request  # type: ignore[untyped-decorator]
    def refuse_other_names() -> None:
        if request.host.rpartition(":")[0] not in _HOSTS and request.host not in _HOSTS:
            abort(403)

    @app.server.after_request  # type: ignore[untyped-decorator]
    def limit(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


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
                    html.H1(" against ".join(o.name for o in reversed(opened))),
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
    """Return what stands above the scores: the runs' names can be long, and the page's head has them."""
    return ["AP"] if len(opened) == 1 else ["AP, first", "AP, second", "Difference"]


def _scores(opened: Sequence[Explored], k: int) -> list[str]:
    """Return the AP of each run, and of two how much higher the second is."""
    values = [float(o.run.classes.average_precision[k]) for o in opened]
    texts = ["-" if math.isnan(value) else f"{value:.4f}" for value in values]
    if len(values) > 1:
        difference = values[1] - values[0]
        texts.append("-" if math.isnan(difference) else f"{difference:+.4f}")
    return texts


def _overview(opened: Sequence[Explored]) -> list[Any]:
    """Show all classes at once: of one run by their AP, of two by the difference."""
    first, last = opened[0], opened[-1]
    systems = [o.system for o in opened]
    colour = plots.colours(systems)
    with plots.style():
        if len(opened) > 1:
            figure, what = (
                plots.gain(systems[1], systems[0], first.counts, colour),
                f"AP of {last.name} less {first.name}",
            )
        else:
            figure, what = plots.per_class(systems[0], None, first.counts, colour), f"AP of each class, {first.name}"
        picture = [] if figure is None else [_image(figure, what)]
    return [html.H2(what), html.P("Choose a class to see its clips."), *picture]


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
    note = html.P("F stands beside the classes' names; those the clip has are ticked." + _whose(opened))
    children: list[Any] = [html.H2(name), table, note]
    try:
        return children + [
            part for section, rows in first.clips(k).items() for part in _section(opened, section, rows, k)
        ]
    except UserError as error:
        return [*children, html.P(f"No clips are drawn: {error}.", className="error")]


def _section(opened: Sequence[Explored], section: str, rows: Sequence[int], k: int) -> list[Any]:
    heading = html.H3(SECTIONS[section])
    if not rows:
        return [heading, html.P("No such clips.")]
    both = [o.look(rows, k, o.name if len(opened) > 1 else "") for o in opened]
    figure = draw_clips([shown for same in zip(*both, strict=True) for shown in same])
    return [heading, _image(figure, f"{SECTIONS[section]}, of {opened[0].classes[k]}")]


def _whose(opened: Sequence[Explored]) -> str:
    return f" Clips by F of {opened[0].name}, each under both runs." if len(opened) > 1 else ""


def _image(figure: Figure, what: str) -> html.Img:
    return html.Img(src="data:image/png;base64," + base64.b64encode(png(figure)).decode(), alt=what)
