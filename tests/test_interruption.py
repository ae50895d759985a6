from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from audiobag import interruption


@pytest.fixture(autouse=True)
def _handlers_of_the_tests() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    interruption.install()
    interruption.begin()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    interruption._Note.begun, interruption._Note.came = False, None


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_outside_a_training_a_signal_ends_the_command(number: signal.Signals) -> None:
    with pytest.raises(SystemExit) as end:
        os.kill(os.getpid(), number)
    assert end.value.code == 75


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_within_a_training_it_leaves_a_note(number: signal.Signals) -> None:
    assert not interruption.requested()
    with interruption.deferred():
        os.kill(os.getpid(), number)
        assert interruption.requested()


def test_before_the_work_has_begun_nothing_can_catch_it() -> None:
    code = (
        "import os, signal; from audiobag import interruption as i; i.install()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException: pass\nprint('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (75, "")


def test_what_a_library_caught_is_not_forgotten() -> None:
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as end, interruption.deferred():
        pass
    assert end.value.code == 75


@pytest.mark.parametrize(("seconds", "code", "said"), [(1.2, 75, ""), (0.2, 0, "still here\n")])
def test_a_second_one_ends_the_command_at_once_unless_it_is_an_echo(seconds: float, code: int, said: str) -> None:
    script = (
        "import os, signal, time; from audiobag import interruption as i; i.install(); i.begin()\n"
        "with i.deferred():\n"
        f"    [(os.kill(os.getpid(), signal.SIGTERM), time.sleep({seconds})) for _ in range(2)]; print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (code, said)


def test_the_signals_are_taken_over_before_anything_slow_is_imported() -> None:
    """What comes earlier, while Python itself starts, ends the process by the signal, with nothing begun."""
    code = (
        "import sys, audiobag.cli.train as t\n"
        "slow = {'hydra', 'omegaconf', 'torch', 'lightning', 'numpy', 'h5py'}\n"
        "t.interruption.install = lambda: print(sorted(slow & set(sys.modules))) or sys.exit(0)\n"
        "t.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
