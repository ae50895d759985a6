from __future__ import annotations

import subprocess
import sys

import pytest

_TRAINING = """
import sys
from audiobag.cli.imports import without_signal_processing
with without_signal_processing():
    import audiobag.experiment
assert "scipy.signal" not in sys.modules and "scipy.stats" not in sys.modules
import scipy.signal
assert len(scipy.signal.windows.hann(3)) == 3
"""
_NEEDED = """
import sys
from audiobag.cli.imports import without_signal_processing
with without_signal_processing():
    import scipy.signal
    assert hasattr(scipy.signal, "hamming") and "scipy.signal._spline" not in sys.modules
    from scipy.signal import resample
    from scipy.signal.windows import hann
import scipy.signal
assert scipy.signal.resample is resample and scipy.signal.windows.hann is hann
"""


def test_a_training_does_without_signal_processing() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", _TRAINING], check=True)


def test_who_needs_it_meanwhile_gets_it() -> None:
    subprocess.run([sys.executable, "-c", _NEEDED], check=True)


@pytest.mark.parametrize("name", ["prepare", "train", "evaluate", "predict", "report", "export", "explore"])
def test_a_command_is_also_a_module(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"audiobag.cli.{name}", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"audiobag-{name} ")
