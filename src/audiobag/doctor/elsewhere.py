"""Programs of a check that run in another process, where possible on another node of the SLURM job."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where the second process of a check runs.

    Attributes:
        prefix: command that starts it there.
        name: for messages.
    """

    prefix: tuple[str, ...]
    name: str

    def start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python program, given as text, whose output is read as text."""
        command = [*self.prefix, sys.executable, "-c", program, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, program: str, *arguments: str, seconds: float = 60) -> tuple[int, str]:
        """Run a Python program; return its exit code and output."""
        with self.start(program, *arguments) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return process.returncode, output.strip()


def second_place() -> Elsewhere:
    """Return another node of this SLURM job, or this machine."""
    for node in _nodes():
        if node.partition(".")[0] != socket.gethostname().partition(".")[0] and node != os.environ.get(
            "SLURMD_NODENAME"
        ):
            step = ("srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={node}")
            return Elsewhere(step, f"this node and {node}")
    return Elsewhere((), "two processes of this machine")


def _nodes() -> Sequence[str]:
    listed = os.environ.get("SLURM_JOB_NODELIST")
    if listed is None:
        return []
    try:
        done = subprocess.run(["scontrol", "show", "hostnames", listed], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return done.stdout.split()
