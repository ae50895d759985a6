"""Processes that have no right to write where permissions forbid it, even if the tests run as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: root's rights to all files


def unprivileged(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with `-c CODE`, or with the given arguments if there are several, and wait for it."""
    arguments = ["-c", textwrap.dedent(command[0])] if len(command) == 1 else [*command]
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        preexec_fn=drop_rights,
        check=False,
    )


def drop_rights() -> None:
    """Take root's rights to all files from this process, and from programs that it starts."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _CAPABILITIES:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for i in range(3):  # effective, permitted and inheritable; the numbers 0 to 31 of each come first
        sets[i] &= ~sum(1 << capability for capability in _CAPABILITIES)
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
