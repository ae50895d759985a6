from __future__ import annotations

import errno
import fcntl
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from audiobag.data.store import Store, open_store
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic, check_readable, check_writable, folder_or_temporary, locked, write_json
from tests.permissions import unprivileged


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acceptance tests check the same with a small file system."""
    path = tmp_path / "metrics.json"
    write_json(path, {"status": "done"})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"status": "other"})
    assert path.read_text() == '{\n  "status": "done"\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with atomic(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"


def test_a_writable_folder_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path)
    check_writable(tmp_path / "new" / "deep")
    assert not [*tmp_path.iterdir()]
    assert folder_or_temporary(str(tmp_path / "new")) == str(tmp_path / "new")


@pytest.mark.parametrize(("under", "reason"), [("file", "Not a directory"), ("nowhere", "No such file or directory")])
def test_a_path_through_something_else_than_a_folder_is_refused(tmp_path: Path, under: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(InputError, match=rf"^out must be a folder that can be written to, got .*/out \({reason} in "):
        check_writable(tmp_path / under / "out")
    with pytest.raises(InputError, match=rf"^out must be a file in a folder .*, got .*/a.csv \({reason} in "):
        check_writable(tmp_path / under, file=tmp_path / under / "a.csv")


def test_a_read_only_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its permissions allow writing."""

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(InputError, match=r"^checkpoints must be .* \(Read-only file system\): choose another folder"):
        check_writable(tmp_path, "checkpoints")
    temporary = folder_or_temporary(str(tmp_path / "log"))
    assert not Path(temporary).is_relative_to(tmp_path)
    assert Path(temporary).is_dir()


def test_what_may_not_be_written_or_read(tmp_path: Path, store: Store) -> None:
    store.path.chmod(0)
    tmp_path.chmod(0o555)
    done = unprivileged(
        f"""
        from pathlib import Path
        from audiobag.data.store import open_store
        from audiobag.utils.files import check_readable, check_writable, locked
        def lock(path):
            with locked(path / ".lock", "busy"):
                pass
        for check in (check_writable, lock, lambda path: open_store(path / {store.path.name!r})):
            try:
                check(Path({str(tmp_path)!r}))
            except ValueError as error:
                print(error)
        """
    )
    tmp_path.chmod(0o755)
    assert done.stderr == ""
    reason = f"must be a folder that can be written to, got {tmp_path} (Permission denied): choose another folder"
    said = done.stdout.splitlines()
    assert said[0].startswith(f"out {reason}")
    assert said[1].startswith(f"folder {reason}")
    assert said[2].startswith(f"{store.path} may not be read by this user")
    check_readable(tmp_path / "missing")  # which has a message of its own


def test_members_of_a_group_share_a_lock(tmp_path: Path) -> None:
    """The lock file of another user can be read and not written."""
    (tmp_path / ".lock").touch(0o444)
    code = f"""
        from pathlib import Path
        from audiobag.utils.files import locked
        with locked(Path({str(tmp_path / ".lock")!r}), "busy"):
            print("locked")
        """
    assert unprivileged(code).stdout == "locked\n"
    with locked(tmp_path / ".lock", "busy"):
        assert "busy" in unprivileged(code).stderr
    (tmp_path / ".lock").chmod(0o600)


@pytest.mark.parametrize("reason", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_without_locks_there_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(getattr(errno, reason), os.strerror(getattr(errno, reason)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with locked(tmp_path / ".lock", "busy"):
                pass
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{tmp_path} cannot be locked ({os.strerror(getattr(errno, reason))})")


def test_other_errors_of_a_lock_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / ".lock", "busy"):
        pass


def test_stores_need_no_lock_of_the_file_system(store: Store) -> None:
    """HDF5 cannot take its own lock here, as on a file system without locks."""
    with store.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert len(open_store(store.path)) == len(store)
