"""The checks of audiobag-doctor on this machine, and on machines that are broken on purpose."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from audiobag.cli import doctor
from audiobag.doctor import file_system, machine, network, processes
from audiobag.doctor.elsewhere import Elsewhere, second_place
from audiobag.doctor.finding import Finding, Verdict, findings
from audiobag.utils.errors import ExitCode

HERE = Elsewhere((), "two processes")


def test_a_check_that_raises_or_hangs_has_failed_and_the_next_one_runs() -> None:
    def raises() -> Finding:
        raise OSError(5, "Input/output error")

    def hangs() -> Finding:
        time.sleep(5)
        raise AssertionError

    checks = [("raises", raises), ("hangs", hangs), ("works", lambda: Finding(Verdict.OK, "fine"))]
    found = list(findings(checks, 0.2))
    assert [one.name for one in found] == ["raises", "hangs", "works"]
    assert [one.verdict for one in found] == [Verdict.FAILED, Verdict.FAILED, Verdict.OK]
    assert "Input/output error" in found[0].detail


def test_a_sound_file_system_has_no_warning(data: Path, tmp_path: Path) -> None:
    found = [
        file_system.locks(tmp_path, HERE),
        file_system.renames(tmp_path, HERE),
        file_system.maps(tmp_path, HERE),
        file_system.flushes(tmp_path),
        file_system.clock(tmp_path),
        file_system.stores(data),
    ]
    assert [one.verdict for one in found] == [Verdict.OK] * 6, found
    assert "121 clips" in found[-1].detail
    assert file_system.stores(tmp_path).verdict is Verdict.FAILED


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    found = file_system.locks(tmp_path, HERE)
    assert (found.verdict, "No locks available" in found.detail) == (Verdict.WARNING, True)


def test_locks_that_do_not_reach_another_node_are_named(tmp_path: Path) -> None:
    """A second process in which every lock is granted, as on nodes that do not know of each other's locks."""
    blind = Elsewhere((sys.executable, "-c", "import sys; sys.exit(0)"), "node1 and node2")
    found = file_system.locks(tmp_path, blind)
    assert (found.verdict, "node1 and node2 do not exclude each other" in found.detail) == (Verdict.WARNING, True)


def test_a_clock_that_is_off_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 30)
    assert file_system.clock(tmp_path).verdict is Verdict.WARNING
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    assert file_system.clock(tmp_path).verdict is Verdict.FAILED


def test_signals_arrive() -> None:
    assert processes.signals().verdict is Verdict.OK
    assert machine.cores().verdict is Verdict.OK


def test_signals_that_a_wrapper_swallows_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("srun", 'trap "" USR1 TERM\necho 7 0\nsleep 1\nexit 0\n'), ("scancel", "exit 0\n")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    found = processes.signals()
    assert (found.verdict, "in a step of srun" in found.detail) == (Verdict.FAILED, True)


def test_little_shared_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(64 * 2**20, 0, 64 * 2**20))
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    found = machine.shared_memory()
    assert (found.verdict, "--shm-size 1g" in found.detail) == (Verdict.WARNING, True)


def test_another_node_of_the_slurm_job_is_the_second_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho {socket.gethostname()}\necho node2\n")
    scontrol.chmod(0o755)
    assert second_place().prefix == ()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")
    assert second_place().prefix[-1] == "--nodelist=node2"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def test_wandb_is_asked_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        assert network.wandb_server().verdict is Verdict.OK
        server.shutdown()
    assert network.wandb_server().verdict is Verdict.WARNING
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert network.wandb_server().verdict is Verdict.SKIPPED


@pytest.mark.parametrize("verdict", [Verdict.WARNING, Verdict.FAILED])
def test_the_command_ends_with_3_if_a_check_has_failed(
    verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, names in (
        (machine, ("gpus", "cores", "shared_memory")),
        (processes, ("ranks", "queue", "signals")),
        (file_system, ("locks", "renames", "maps")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, lambda *_: Finding(Verdict.SKIPPED, "not here"))
    monkeypatch.setattr(network, "wandb_server", lambda: Finding(verdict, "no answer"))
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(sys, "argv", ["audiobag-doctor", str(tmp_path / "there" / "new" / "below"), "--json"])
    if verdict is Verdict.FAILED:
        with pytest.raises(SystemExit) as end:
            doctor.main()
        assert end.value.code == ExitCode.SOME_JOBS_FAILED
    else:
        doctor.main()
    found = {one["name"]: one["verdict"] for one in json.loads(capsys.readouterr().out)}
    assert (found["W&B"], found["clock"]) == (verdict.value, "ok")
    assert list((tmp_path / "there").iterdir()) == []  # the folders that it made are gone


def test_a_folder_that_cannot_be_used_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["audiobag-doctor", str(tmp_path / "file" / "below")])
    with pytest.raises(SystemExit) as end:
        doctor.main()
    assert end.value.code == ExitCode.USER
    assert "FOLDER must be a folder that can be written to" in capsys.readouterr().err
