from __future__ import annotations

import subprocess
import sys

import pytest

_PAGES = """
import resource
import numpy as np
from audiobag.hardware import keep_freed_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        # Three at once, so that more than the C library keeps of its own accord is freed together.
        held = [np.ones(10_000_000, np.uint8) for _ in range(3)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = pages()
keep_freed_memory()
pages()
print(before, pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that is told")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    ran = subprocess.run([sys.executable, "-c", _PAGES], check=True, capture_output=True, text=True)
    before, after = map(int, ran.stdout.split())
    assert after < before / 10
