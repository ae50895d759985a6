"""audiobag-doctor with its faults, on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


def test_every_fault_is_survived(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiobag.cli.doctor", str(tmp_path), "--faults", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    found = {one["name"]: one["verdict"] for one in json.loads(done.stdout)}
    for name in ("undisturbed run", "SIGTERM", "SIGKILL", "lost rank", "ranks", "signals"):
        assert found[name] == "ok", done.stderr
    assert found["full disk"] in ("ok", "skipped")
