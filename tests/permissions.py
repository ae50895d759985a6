"""Processes that have no right to write where permissions forbid it, even if the tests run as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

_PR_CAPBSET_DROP = 24
_CAPABILITIES = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: root's rights to all files


def unprivileged(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with `-c CODE`, or with the given arguments if there are several, and wait for it."""
    arguments = ["-c", textwrap.dedent(command[0])] if len(command) == 1 else [*command]
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        preexec_fn=_drop if os.geteuid() == 0 else None,
        check=False,
    )


def _drop() -> None:
    for capability in _CAPABILITIES:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
