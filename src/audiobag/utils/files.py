"""Atomic files and folders, and locks: everything is written under a temporary name first."""

from __future__ import annotations

import atexit
import csv
import errno
import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import uuid4

from audiobag.utils.errors import InputError

_LOG = logging.getLogger(__name__)
# The file system has no locks (Lustre without the mount option, some NFS and FUSE), or, on NFS, none for a file that
# may only be read.
_NO_LOCKS: Final = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF}


def check_writable(folder: Path, name: str = "out", file: Path | None = None) -> None:
    """Check, before any work, that files can be created in a folder, or that the folder itself can be created.

    A file is created and removed, because permissions alone do not tell: file systems can be mounted read-only, and
    groups, access lists and servers have rules of their own.

    Args:
        folder: the folder, which need not exist.
        name: name of the argument, for the message.
        file: the argument, if it is a file in the folder; None if it is the folder itself.

    Raises:
        ValueError: no file can be created.
    """
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    trial = nearest / f".{uuid4().hex}.tmp"
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        what = "a folder that can be written to" if file is None else "a file in a folder that can be written to"
        where = "" if nearest == (file or folder) else f" in {nearest}"
        raise InputError(
            f"{name} must be {what}, got {file or folder} ({error.strerror}{where}): choose another folder, or change"
            " its permissions"
        ) from error


def check_readable(path: Path) -> None:
    """Check that this user may read a file or a folder.

    Raises:
        ValueError: it may not be read.
    """
    if path.exists() and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise InputError(f"{path} may not be read by this user: change its permissions, or choose another path")


def shown_path(path: Path) -> str:
    """Return a path relative to the working directory where it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def short_name(original: str, name: str, longest: int) -> str:
    """Return a name that was made from another, such that different originals have different names.

    A name that differs from the original, or is too long and has to be cut, ends in a hash of the original.

    Args:
        original: the text that the name is made from.
        name: the text with other characters in place of those that a name must not have.
        longest: characters or bytes that a name can have.
    """
    if name == original and len(name) <= longest:
        return name
    return f"{name[: longest - 9]}-{hashlib.sha256(original.encode(errors='surrogateescape')).hexdigest()[:8]}"


@cache
def folder_or_temporary(folder: str) -> str:
    """Return a folder if it can be written to, otherwise a temporary folder that is removed when the process ends."""
    try:
        check_writable(Path(folder))
    except InputError:
        temporary = tempfile.mkdtemp(prefix="audiobag-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return temporary
    return folder


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success, flush it to disk and rename it to `path`.

    On an error, the temporary file is removed and `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes killed in `atomic`, from a folder that no other process writes to."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`; rename it to `path` on success, remove it on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8; bytes of a file name that are not UTF-8 are escaped."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def write_rows(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows as CSV, atomically; without rows, remove the file of an earlier run."""
    if rows:
        write_text(path, csv_text(head, rows))
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinity, which JSON does not have, raise ValueError."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


@contextmanager
def locked(path: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock file `path`; the operating system releases it when the process ends, even if it is killed.

    On a file system without locks, a warning is logged and nothing is locked.

    Raises:
        ValueError: another process holds the lock, and the message is `otherwise`; or the folder of the lock cannot be
            written to.
    """
    check_writable(path.parent, "folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_lock(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(otherwise) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _warn_without_lock(path.parent.resolve(), str(error.strerror))
        yield


def _open_lock(path: Path) -> BinaryIO:
    """Open a lock file; in a folder shared by a group, another user's file can be locked but not written."""
    try:
        return path.open("ab")
    except PermissionError:
        return path.open("rb")


@cache
def _warn_without_lock(folder: Path, reason: str) -> None:
    """Warn once that a folder cannot be locked."""
    _LOG.warning(
        "%s cannot be locked (%s), so nothing keeps a second process out: start one command at a time there",
        folder,
        reason,
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if the file is missing or is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
