"""Signals before the first and after the last step, and second signals, for single runs and jobs of sweeps."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from audiobag.runs.directory import RunDirectory
from tests.acceptance.running import (
    PATIENCE,
    begin,
    log_of,
    none_left,
    processes_of,
    release,
    results,
    wait_for_handlers,
    wait_for_hold,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
KINDS = ("cpu", "ddp_cpu")
SWEEP = ("-m", "hydra.launcher.jobs=1", "pooling=attention_softmax")


def check_continues(place: Path, trainer: str, name: str, *options: str) -> None:
    folder = place / name / "job" if options else place / name
    """Check that the same command continues the run and has the results of the undisturbed one."""
    assert none_left(name), "orphans"
    assert not (folder / "metrics.json").exists()
    assert begin(place, trainer, name, *options).wait(PATIENCE) == 0, log_of(place, name)[-2000:]
    assert results(folder) == results(place / f"undisturbed-{trainer}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("where", ["validate", "test"])
def test_a_signal_while_the_final_weights_are_scored(place: Path, where: str, number: signal.Signals) -> None:
    name = f"{where}-{number.name}"
    run = begin(place, "cpu", name, hold=where)
    wait_for_hold(place, "cpu", name, run)
    run.send_signal(number)
    assert run.wait(150) == 75, log_of(place, name)[-2000:]
    check_continues(place, "cpu", name)


@pytest.mark.parametrize("to", ["first", "both"])
def test_a_signal_while_two_ranks_score(place: Path, to: str) -> None:
    """To the first rank alone, or to all of them, as SLURM sends it."""
    name = f"test-{to}"
    run = begin(place, "ddp_cpu", name, hold="test")
    wait_for_hold(place, "ddp_cpu", name, run)
    (os.kill if to == "first" else os.killpg)(run.pid, signal.SIGTERM)
    assert run.wait(150) == 75, log_of(place, name)[-2000:]
    check_continues(place, "ddp_cpu", name)


@pytest.mark.parametrize("trainer", KINDS)
def test_a_signal_to_a_sweep_whose_job_scores(place: Path, trainer: str) -> None:
    name = f"sweep-test-{trainer}"
    run = begin(place, trainer, name, *SWEEP, hold="test")
    wait_for_hold(place, trainer, name, run)
    run.send_signal(signal.SIGTERM)
    assert run.wait(150) == 75, log_of(place, name)[-2000:]
    check_continues(place, trainer, name, *SWEEP)


@pytest.mark.parametrize("options", [(), SWEEP], ids=["plain", "sweep"])
@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_signal_in_the_first_moments(place: Path, options: tuple[str, ...], seconds: float) -> None:
    """As soon as the handlers are installed, before Hydra is imported, and a little later."""
    name = f"early-{len(options)}-{seconds}"
    run = begin(place, "cpu", name, *options)
    wait_for_handlers(run)
    time.sleep(seconds)
    run.send_signal(signal.SIGTERM)
    assert run.wait(150) == 75, log_of(place, name)[-2000:]
    check_continues(place, "cpu", name, *options)


@pytest.mark.parametrize("trainer", KINDS)
@pytest.mark.parametrize("options", [(), SWEEP], ids=["plain", "sweep"])
def test_a_second_signal_ends_the_run_at_once(place: Path, options: tuple[str, ...], trainer: str) -> None:
    """The first signal takes effect at the end of the step, which does not come while the run is held."""
    name = f"second-{len(options)}-{trainer}"
    run = begin(place, trainer, name, *options, hold="train 30")
    wait_for_hold(place, trainer, name, run)
    run.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(3)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 75, log_of(place, name)[-2000:]
    check_continues(place, trainer, name, *options)


@pytest.mark.parametrize("trainer", KINDS)
def test_a_signal_to_all_processes_of_a_sweep(place: Path, trainer: str) -> None:
    """As SLURM sends it: a job receives it twice, the second time from its sweep, and saves all the same."""
    name = f"all-{trainer}"
    run = begin(place, trainer, name, *SWEEP, hold="train 33")
    wait_for_hold(place, trainer, name, run)
    for process in processes_of(name):
        os.kill(process, signal.SIGTERM)
    time.sleep(1)
    release(place, name)
    assert run.wait(150) == 75, log_of(place, name)[-2000:]
    assert RunDirectory(place / name / "job").resumable()[0].name == "step-00000033.ckpt"
    check_continues(place, trainer, name, *SWEEP)


@pytest.mark.parametrize("trainer", KINDS)
@pytest.mark.parametrize("options", [(), SWEEP], ids=["plain", "sweep"])
def test_an_interruption_within_the_averaging_window(place: Path, options: tuple[str, ...], trainer: str) -> None:
    """The window is 40, 60, 80: the checkpoint of step 41 holds the predictions of step 40."""
    name = f"window-{len(options)}-{trainer}"
    run = begin(place, trainer, name, *options, hold="train 41")
    wait_for_hold(place, trainer, name, run)
    run.send_signal(signal.SIGTERM)
    time.sleep(1)  # for the sweep to forward it to its job
    release(place, name)
    assert run.wait(150) == 75, log_of(place, name)[-2000:]
    (last, *_) = RunDirectory(next((place / name).rglob("checkpoints")).parent).resumable()
    assert last.name == "step-00000041.ckpt"
    check_continues(place, trainer, name, *options)
