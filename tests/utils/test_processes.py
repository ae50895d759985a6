"""Processes that end with the one that started them, with and without the help of the kernel."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from audiobag.utils.processes import is_alive

CHILD = """
import ctypes, os, sys, time
if sys.argv[1] == "elsewhere":
    sys.platform = "darwin"
    ctypes.CDLL = None
from audiobag.utils.processes import end_with
end_with(os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("system", ["here", "elsewhere"])
def test_a_process_ends_with_the_one_that_started_it(system: str) -> None:
    """The second one as on macOS, which has no prctl."""
    command = [sys.executable, "-c", PARENT, CHILD, system]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    deadline = time.monotonic() + 20
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)
