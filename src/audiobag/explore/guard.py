"""Access control of the page."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, abort, request

_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; media-src 'self'{media}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def guard(app: Flask, sounds: str = "") -> None:
    """Answer requests to loopback names only, and forbid the browser to contact any other server.

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
