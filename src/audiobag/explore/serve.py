"""Serving the page to this machine alone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from audiobag.errors import UserError


class _Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Drop it."""


def check_loopback(host: str) -> str:
    """Return the address to listen on.

    Raises:
        UserError: others could reach it.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        local = ip_address(address).is_loopback
    except ValueError:
        local = False
    if not local:
        raise UserError(f"host={host} can be reached from elsewhere, or is no address: take 127.0.0.1 or ::1")
    return address


def serve(
    application: Callable[[dict[str, Any], Any], Iterable[bytes]],
    host: str,
    port: int,
    ready: Callable[[str], object],
    stop: Callable[[], bool],
) -> None:
    """Answer requests until it is time to stop.

    Args:
        application: a WSGI application.
        host: a loopback address.
        port: 0 for any that is free.
        ready: takes the page's address when it can be opened.
        stop: asked twice a second.

    Raises:
        UserError: the host is not this machine alone, or the port is taken.
    """
    address = check_loopback(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f"port={port} cannot be had ({error}): take another, or port=0 for any that is free") from error
    with listening:
        found = listening.getsockname()[1]
        server = make_server(address, found, application, threaded=True, request_handler=_Quiet, fd=listening.fileno())
        server.timeout = 0.5
        ready(f"http://{f'[{address}]' if ':' in address else address}:{found}/")
        while not stop():
            server.handle_request()
        server.server_close()
