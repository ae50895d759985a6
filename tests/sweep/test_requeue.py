"""SLURM's signals and the way back into its queue, with a fake scontrol."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from audiobag.sweep.requeue import notice, requeue


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which a fake scontrol appends its arguments."""
    fake, calls = tmp_path / "scontrol", tmp_path / "calls"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    fake.chmod(0o755)
    calls.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    return calls


@pytest.mark.parametrize(("number", "came"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_job_survives_both_signals_and_sigusr1_is_notice(scontrol: Path, number: signal.Signals, came: bool) -> None:
    before = signal.getsignal(number)
    with notice() as noticed:
        assert not noticed()
        os.kill(os.getpid(), number)
        assert noticed() is came
    assert signal.getsignal(number) is before


def test_outside_slurm_handlers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before = signal.getsignal(signal.SIGUSR1)
    with notice() as noticed:
        assert signal.getsignal(signal.SIGUSR1) is before
        assert not noticed()


@pytest.mark.parametrize(("task", "asked"), [("0", "requeue 7\n"), ("1", "")])
def test_only_the_first_task_requeues_the_job(
    scontrol: Path, monkeypatch: pytest.MonkeyPatch, task: str, asked: str
) -> None:
    monkeypatch.setenv("SLURM_PROCID", task)
    before = signal.getsignal(signal.SIGTERM)
    try:
        requeue()
        ignored = signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        assert ignored is (asked != ""), "SLURM ends the other tasks, and this one exits by itself"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert scontrol.read_text() == asked
