"""The page and its answers, made with Flask. Everything comes from this process."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.parse import unquote, urlsplit

from flask import Flask, Response, abort, jsonify, request, send_file

from audiobag.explore.explored import Opened
from audiobag.explore.views import class_view, clip_view, overview
from audiobag.pictures.browser import FILES, clips_file
from audiobag.report.interactive import plotly
from audiobag.utils.errors import InputError

_FILES = ("page.html", "page.js", "page.css")
_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; media-src 'self'{media}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def make_app(opened: Opened) -> Flask:
    """Return the page for some runs, a WSGI application.

    The address contains what is on display, as in `?class=Dog&run=1`, so that it can be bookmarked.
    """
    app = Flask("audiobag.explore", static_folder=None)
    source = files("audiobag.explore")
    static = {name: source.joinpath(name).read_text(encoding="utf-8") for name in _FILES}
    static |= {name: clips_file(name) for name in FILES} | {"plotly.js": plotly()}

    @app.get("/")
    def page() -> Response:
        return file("page.html")

    @app.get("/<name>")
    def file(name: str) -> Response:
        if name not in static:
            abort(404)
        return Response(static[name], content_type=f"{_TYPES[Path(name).suffix]}; charset=utf-8")

    @app.get("/api/overview")
    def all_classes() -> Response:
        return jsonify(overview(opened))

    @app.get("/api/class/<int:k>")
    def one_class(k: int) -> Response:
        runs = range(len(opened.runs))
        shown = list(dict.fromkeys(r for r in request.args.getlist("run", type=int) if r in runs)) or [0]
        if k >= len(opened.classes):
            abort(404)
        return jsonify(class_view(opened, k, shown))

    @app.get("/api/clip/<int:row>")
    def one_clip(row: int) -> Response:
        if row >= len(opened.store):
            abort(404)
        k = request.args.get("class", type=int)
        return jsonify(clip_view(opened, row, k if k in range(len(opened.classes)) else None))

    @app.get("/audio/<int:row>")
    def audio(row: int) -> Response:
        path = _sound(opened, row)
        if path is None or not path.is_file():
            abort(404)
        return send_file(path, conditional=True)

    _guard(app, opened.heard.server)
    return app


def _guard(app: Flask, sounds: str) -> None:
    """Answer requests to loopback names only, and forbid browsers to contact other servers.

    Checking the name stops another web page from reaching this server through a DNS name that resolves to 127.0.0.1.

    Args:
        app: the application.
        sounds: where the browser may load sounds from, see `Listening.server`.
    """
    policy = _POLICY.format(media=f" {sounds}" if sounds else "")

    @app.before_request
    def refuse_other_names() -> None:
        if request.host.rpartition(":")[0] not in _HOSTS and request.host not in _HOSTS:
            abort(403)

    @app.after_request
    def limit(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def load_models(opened: Opened) -> None:
    """Load the models of all runs in a thread, so that the first answer is as quick as the later ones."""

    def load() -> None:
        for one in opened.runs:
            with suppress(InputError):  # the page says so where the clips would be
                one.predict([0])

    Thread(target=load, daemon=True).start()


def _sound(opened: Opened, row: int) -> Path | None:
    """Return the file of a clip's sound; None if it is not a file of this machine."""
    columns = opened.store.columns
    if row >= len(opened.store) or opened.heard.pattern is None:
        return None
    start, end = float(columns.start_seconds[row]), float(columns.end_seconds[row])
    address = urlsplit(opened.heard.address(bytes(columns.video_id[row]), start, end) or "")
    return Path(unquote(address.path)).absolute() if address.scheme == "file" else None
