"""Signals, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NUMBERS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


def run(body: str) -> tuple[int, str]:
    """Run Python code after the handlers are installed; return its exit code and what it printed."""
    head = "import os, signal, time\nfrom audiobag.training import interruption as i\ni.install()\n"
    done = subprocess.run([sys.executable, "-c", head + body], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("number", NUMBERS)
def test_outside_a_training_a_signal_ends_the_command(number: str) -> None:
    body = f"i.begin()\ntry:\n    os.kill(os.getpid(), signal.{number})\nfinally:\n    print('closed')"
    assert run(body) == (75, "closed\n")


@pytest.mark.parametrize("number", NUMBERS)
def test_during_a_training_a_signal_is_noted(number: str) -> None:
    body = (
        f"print(i.requested())\nwith i.deferred():\n    os.kill(os.getpid(), signal.{number})\n    print(i.requested())"
    )
    assert run(body) == (0, "False\nTrue\n")


@pytest.mark.parametrize("before", ["", "with i.noted([signal.SIGHUP]) as came: os.kill(os.getpid(), signal.SIGHUP)\n"])
def test_under_nohup_sighup_stays_ignored(before: str) -> None:
    head = f"import os, signal\nfrom audiobag.training import interruption as i\ni.install(); i.begin()\n{before}"
    body = "os.kill(os.getpid(), signal.SIGHUP); i.install(); os.kill(os.getpid(), signal.SIGHUP); print('still here')"
    command = ["nohup", sys.executable, "-c", head + body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "still here\n")


def test_a_signal_during_an_import_waits_for_its_end(tmp_path: Path) -> None:
    """An exception there would abort the process if an extension module is loading."""
    (tmp_path / "slow.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.2)\nprint('imported')"
    )
    body = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\ni.begin()\n"
        "try:\n    import slow\n    time.sleep(5)\n    print('still here')\nfinally:\n    print('closed')"
    )
    assert run(body) == (75, "imported\nclosed\n")


def test_before_the_work_begins_a_signal_cannot_be_caught() -> None:
    body = "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException: pass\nprint('still here')"
    assert run(body) == (75, "")


def test_a_signal_that_a_library_caught_ends_the_command_before_it_trains() -> None:
    body = (
        "i.begin()\ntry:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException: print('caught')\n"
        "with i.deferred():\n    print('training')"
    )
    assert run(body) == (75, "caught\n")


@pytest.mark.parametrize(("seconds", "code", "printed"), [(1.2, 75, ""), (0.2, 0, "still here\n")])
def test_a_second_signal_ends_the_command_unless_it_follows_within_a_second(
    seconds: float, code: int, printed: str
) -> None:
    body = (
        "i.begin()\nwith i.deferred():\n"
        f"    [(os.kill(os.getpid(), signal.SIGTERM), time.sleep({seconds})) for _ in range(2)]; print('still here')"
    )
    assert run(body) == (code, printed)


@pytest.mark.parametrize("twice", [False, True])
def test_noted_signals_are_listed_and_the_handlers_before_come_back(twice: bool) -> None:
    body = (
        "before = signal.getsignal(signal.SIGTERM)\n"
        f"with i.noted([signal.SIGTERM], twice={twice}) as came:\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print(len(came))\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print(len(came))\n"
        "print(signal.getsignal(signal.SIGTERM) is before)"
    )
    ended, printed = run(body)
    if twice:
        assert (ended != 0, printed) == (True, "1\n")
    else:
        assert (ended, printed) == (0, "1\n2\nTrue\n")


def test_handlers_are_installed_before_slow_imports() -> None:
    """A signal before that, while Python itself starts, ends the process with nothing begun."""
    code = (
        "import sys, audiobag.cli.train as t\n"
        "slow = {'hydra', 'omegaconf', 'torch', 'lightning', 'numpy', 'h5py'}\n"
        "t.interruption.install = lambda: print(sorted(slow & set(sys.modules))) or sys.exit(0)\n"
        "t.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
