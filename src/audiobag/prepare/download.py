"""Resumable downloads: under its final name, a file is complete or absent."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audiobag.utils.errors import InputError
from audiobag.utils.files import locked, read_json, write_json

_BLOCK = 2**20
_TIMEOUT = 60.0
_ATTEMPTS = 5


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http(s) only; urllib would also follow redirects to ftp."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not is_address(newurl):
            fp.close()
            raise InputError(f"{req.full_url} leads to {newurl}, expected http(s): use the address of the file itself")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_HttpRedirects)

Report = Callable[[int, int | None], None]
"""Called with the number of bytes received, and the total if the server announces it."""


def is_address(source: str) -> bool:
    """Return whether a source is an http(s) address."""
    return source.startswith(("http://", "https://"))


def download(address: str, folder: Path, report: Report, *, wait: float = 1.0) -> Path:
    """Download the file at `address` into `folder`, unless it exists there, and return its path.

    An interrupted download is continued with a `Range` request. If the server does not support ranges, or has another
    version of the file, the download starts again. A file of the same name from another address is replaced.

    Args:
        address: http or https address of a file.
        folder: folder for the file and for its unfinished download.
        report: called with the progress.
        wait: seconds before the second attempt; doubled before each further attempt.

    Raises:
        ValueError: the file does not exist, the connection breaks repeatedly, or another process downloads the file.
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name
    if not name or name.startswith("."):
        raise InputError(
            f"{address} names no file; expected an address that ends with a file name, such as features.tar.gz"
        )
    final, part = folder / name, folder / f"{name}.part"
    busy = f"another process is downloading {address} to {folder}: wait until it has finished"
    if final.exists() and read_json(_state(part)).get("address", address) == address:
        return final
    with locked(part, busy):
        final.unlink(missing_ok=True)  # of another address
        return _attempt(address, part, final, report, wait)


def _attempt(address: str, part: Path, final: Path, report: Report, wait: float) -> Path:
    failures = 0
    while failures < _ATTEMPTS:
        before = _size(part)
        try:
            _fetch(address, part, report)
            part.replace(final)
            return final
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise InputError(
                    f"{address}: the server answered {error.code} {error.reason}: check the address"
                ) from error
            failures = 1 if _size(part) > before else failures + 1
            reason = error
            time.sleep(wait * 2 ** (failures - 1))
    raise InputError(
        f"the download of {address} broke off {_ATTEMPTS} times ({reason}): run the command again to resume it"
    )


def _fetch(address: str, part: Path, report: Report) -> None:
    """Continue the download `part`; raise OSError if it remains incomplete."""
    have, validator = _size(part), _read_validator(part, address)
    # Without this header, a server may compress the compressed file again.
    headers = {"Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        response = _OPENER.open(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            os.truncate(part, 0)
            raise ConnectionError("the file on the server has changed") from error
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            os.truncate(part, 0)
            raise ConnectionError("the server sent another range than the requested one")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        _write_validator(part, address, response.headers)
        with part.open("ab" if resumed else "wb") as file:
            report(have, total)
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                report(have, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have != total:
        raise ConnectionError(f"received {have:,} of {total:,} bytes")


def _state(part: Path) -> Path:
    return part.with_suffix(".json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_validator(part: Path, address: str) -> str:
    """Return the tag or date of the version that `part` belongs to, or an empty string if it is unknown."""
    state = read_json(_state(part))
    return str(state["validator"]) if state.get("address") == address else ""


def _write_validator(part: Path, address: str, headers: http.client.HTTPMessage) -> None:
    tag = headers.get("ETag", "")
    # A weak tag does not guarantee equal bytes.
    validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    write_json(_state(part), {"address": address, "validator": validator})
