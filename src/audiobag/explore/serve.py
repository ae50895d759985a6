"""Serve the page on a loopback address."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from audiobag.utils.errors import InputError


class _Quiet(WSGIRequestHandler):
    """Does not log requests."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing."""


def check_loopback(host: str) -> str:
    """Return the address to listen on.

    Args:
        host: "localhost", or a loopback address such as "127.0.0.1" or "::1".

    Raises:
        ValueError: other machines could reach the address, or it is not an address.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        local = ip_address(address).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InputError(
            f"host must be a loopback address, 127.0.0.1 or ::1, got {host!r}, which other machines may reach"
        )
    return address


def serve(
    application: Callable[[dict[str, Any], Any], Iterable[bytes]],
    host: str,
    port: int,
    ready: Callable[[str], object],
    stop: Callable[[], bool],
) -> None:
    """Answer requests until `stop` returns true.

    Args:
        application: a WSGI application.
        host: a loopback address.
        port: 0 for any free port.
        ready: called with the page's address when it can be opened.
        stop: called twice a second.

    Raises:
        ValueError: the host is not a loopback address, or the port is in use.
    """
    address = check_loopback(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} cannot be used ({error}): choose another, or 0 for any free port") from error
    with listening:
        found = listening.getsockname()[1]
        server = make_server(address, found, application, threaded=True, request_handler=_Quiet, fd=listening.fileno())
        server.timeout = 0.5
        ready(f"http://{f'[{address}]' if ':' in address else address}:{found}/")
        while not stop():
            server.handle_request()
        server.server_close()
