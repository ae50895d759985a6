"""The pool with fake jobs, which take milliseconds instead of the hours of a training."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from audiobag.runs import RunConfig
from audiobag.runs.status import last_lines, status
from audiobag.sweep import pool
from audiobag.sweep.display import Display
from audiobag.sweep.handover import HandedOver
from audiobag.sweep.jobs import Job, State
from audiobag.sweep.slots import Slot
from audiobag.utils.errors import Interrupted
from audiobag.utils.files import locked

# A fake job: the name of its folder says what it does. It records its environment, and when it started and ended.
JOB = """
import json, os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
what = folder.name.partition("-")[2]
began = time.time()
note = {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": os.environ["OMP_NUM_THREADS"], "began": began}
print("started", what, flush=True)
(folder / "config.json").write_text(json.dumps({"schema": 2, "config": {"trainer": {"max_steps": 5}}}))
if what == "crash":
    print("it broke", flush=True); sys.exit(1)
if what == "killed":
    os.kill(os.getpid(), 9)
if what == "silent":
    sys.exit(0)
time.sleep(30 if what == "long" else 0.3)
(folder / "note.json").write_text(json.dumps({**note, "ended": time.time()}))
(folder / "metrics.json").write_text(json.dumps({"status": "done", "val": {"mAP": 0.5}}))
"""


@pytest.fixture(autouse=True)
def _fake_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "job_command", lambda folder, _: [sys.executable, "-c", JOB, str(folder)])
    monkeypatch.setattr(pool, "GRACE_SECONDS", 0.5)


def jobs(folder: Path, *what: str) -> list[Job]:
    return [Job(f"{i}-{w}", folder / f"{i}-{w}", handed(5)) for i, w in enumerate(what)]


def handed(steps: int) -> HandedOver:
    return HandedOver(RunConfig(config(steps)), {})


def config(steps: int) -> dict[str, Any]:
    return {"trainer": {"max_steps": steps}}


def note(job: Job) -> dict[str, object]:
    read = json.loads((job.folder / "note.json").read_text())
    assert isinstance(read, dict)
    return read


def test_each_job_uses_the_devices_and_threads_of_its_slot(tmp_path: Path) -> None:
    todo = jobs(tmp_path, *["good"] * 5)
    pool.run_jobs(todo, [Slot(("GPU-8a2c",), 3), Slot(("0", "1"), 3)])
    notes = [note(job) for job in todo]
    assert {str(n["gpu"]) for n in notes} == {"GPU-8a2c", "0,1"}
    assert {n["threads"] for n in notes} == {"3"}
    for gpu in ("GPU-8a2c", "0,1"):  # one job at a time in each slot
        spans = sorted((n["began"], n["ended"]) for n in notes if n["gpu"] == gpu)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))  # type: ignore[operator]
    assert min(n["ended"] for n in notes) > sorted(n["began"] for n in notes)[1], "both slots are used at once"  # type: ignore[type-var]


def test_a_failed_job_does_not_stop_the_others(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "crash", "killed", "silent", "good")
    pool.run_jobs(todo, [Slot((), 1)])
    assert [(j.state, j.exit_code) for j in todo] == [
        (State.FAILED, 1),
        (State.FAILED, -9),
        (State.FAILED, 0),
        (State.DONE, 0),
    ]
    assert last_lines(todo[0].folder) == ["started crash", "it broke"]
    console = Console(record=True, width=200)
    Display(todo, console).summary()
    shown = console.export_text()
    assert "0-crash failed (exit code 1)" in shown
    assert "it broke" in shown
    assert "killed by signal 9" in shown
    assert "it wrote no metrics.json" in shown
    assert "3 failed, 1 done" in shown
    assert status(todo[1].folder).log == ["started killed", "(killed by signal 9)"]


def test_the_counts_follow_each_job_and_come_once_at_the_end(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "good", "good")
    console = Console(record=True, width=200, file=io.StringIO())
    display = Display(todo, console)
    pool.run_jobs(todo, [Slot((), 1)], watch=display.update)
    display.summary()
    shown = console.export_text()
    assert shown.count("1 done, 1 ") == 1
    assert shown.count("2 done") == 1


def test_fail_fast_stops_the_others(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "long", "crash", "good")
    began = time.monotonic()
    pool.run_jobs(todo, [Slot((), 1), Slot((), 1)], fail_fast=True)
    assert time.monotonic() - began < 15
    assert [j.state for j in todo] == [State.INTERRUPTED, State.FAILED, State.WAITING]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_interruption_stops_the_jobs(number: signal.Signals, tmp_path: Path) -> None:
    todo = jobs(tmp_path, "long", "good")

    def interrupt() -> None:
        if todo[0].state is State.RUNNING and todo[1].state is State.DONE:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted):
        pool.run_jobs(todo, [Slot((), 1), Slot((), 1)], watch=interrupt)
    assert [j.state for j in todo] == [State.INTERRUPTED, State.DONE]
    assert todo[0].exit_code == -signal.SIGTERM


def test_a_complete_job_is_skipped(tmp_path: Path) -> None:
    first, second = jobs(tmp_path, "good", "good")
    pool.run_jobs([first], [Slot((), 1)])
    again = Job(first.name, first.folder, handed(5))
    again.look()
    second.look()
    assert (again.state, second.state) == (State.SKIPPED, State.WAITING)
    assert again.value() == 0.5
    written = (first.folder / "metrics.json").stat().st_mtime_ns
    pool.run_jobs([again, second], [Slot((), 1)])
    assert (first.folder / "metrics.json").stat().st_mtime_ns == written


def test_a_folder_with_another_configuration_is_refused(tmp_path: Path) -> None:
    complete, begun = jobs(tmp_path, "good", "good")
    pool.run_jobs([complete], [Slot((), 1)])
    with pytest.raises(ValueError, match=r"trainer\.max_steps was 5, is 9"):
        Job(complete.name, complete.folder, handed(9)).look()
    begun.run.begin(RunConfig(config(7)))
    begun.look()  # nothing was trained there
    begun.run.checkpoints.mkdir()
    begun.run.step_checkpoint(3).touch()
    with pytest.raises(ValueError, match=r"trainer\.max_steps was 7, is 5"):
        begun.look()


def test_a_job_ends_when_its_sweep_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from audiobag.sweep.child import start
        child = "import os, time; from audiobag.sweep.child import die_with_parent; die_with_parent();"
        child += "print(os.getpid(), flush=True); time.sleep(60)"
        start([sys.executable, "-c", child], Path({str(tmp_path)!r}), {{}}).wait()
    """)
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not last_lines(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(last_lines(tmp_path)[0])
    parent.kill()
    parent.wait()
    while time.monotonic() < deadline:
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the job outlived its sweep")


def test_two_copies_of_a_sweep_do_not_run_at_once(tmp_path: Path) -> None:
    holder = f"""
import sys, time
from pathlib import Path
from audiobag.utils.files import locked
with locked(Path({str(tmp_path / ".lock")!r}), ""):
    print("held", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(ValueError, match="is running"), locked(tmp_path / ".lock", "another copy is running"):
        pytest.fail("two processes hold the lock")
    other.kill()
    other.wait()
    other.stdout.close()
    with locked(tmp_path / ".lock", "the lock is free again"):
        assert (tmp_path / ".lock").exists()
