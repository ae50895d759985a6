"""Access control of the page."""

from __future__ import annotations

from typing import Final

from dash import Dash
from flask import Response, abort, request

_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
_POLICY: Final = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def guard(app: Dash) -> None:
    """Answer requests to loopback names only, and forbid the browser to contact any other server.

    Checking the name stops another web page from reaching this server through a DNS name that resolves to 127.0.0.1.
    """
    policy = _POLICY.format(hashes=" ".join(app.csp_hashes()))

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
