"""Runs that are interrupted at random moments and in every way have the results of the undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from audiobag.runs.checkpoints import load_checkpoint
from audiobag.runs.directory import RunDirectory
from tests.acceptance.running import (
    PATIENCE,
    STEPS,
    begin,
    log_of,
    none_left,
    processes_of,
    release,
    results,
    wait_for_handlers,
    wait_for_hold,
    wait_for_step,
    wait_until,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("seed", range(20))
def test_run_interrupted_at_a_random_moment(place: Path, seed: int) -> None:
    chosen = random.Random(seed)
    how = ("SIGTERM", "SIGUSR1", "a rank", "all")[seed % 4]
    trainer = "ddp_cpu" if how == "a rank" or seed % 8 >= 4 else "cpu"
    name = f"run-{seed}"
    run = begin(place, trainer, name)
    wait_for_handlers(run)
    if chosen.random() < 0.25:
        time.sleep(chosen.uniform(0, 8))  # during the start
    else:
        wait_for_step(place / name, run, chosen.randint(1, STEPS))
    if run.poll() is None:
        if how.startswith("SIG"):
            run.send_signal(getattr(signal, how))
            assert run.wait(150) in (75, 0), log_of(place, name)[-2000:]
        else:
            victims = processes_of(name)
            for victim in [chosen.choice(victims)] if how == "a rank" else victims:
                os.kill(victim, signal.SIGKILL)
            assert run.wait(150) != 0 or (place / name / "metrics.json").exists()
    assert none_left(name), "orphans"
    assert begin(place, trainer, name).wait(PATIENCE) == 0
    assert results(place / name) == results(place / f"undisturbed-{trainer}")


@pytest.mark.parametrize("hung", [0, 1])
def test_a_rank_that_hangs_ends_the_run_within_its_timeout(place: Path, hung: int) -> None:
    """A rank 0 that hangs must be ended by the process that started it; the other ranks end by themselves."""
    name, minutes = f"hung-{hung}", 2  # also the time that the second rank has to start
    run = begin(place, "ddp_cpu", name, f"trainer.strategy.timeout.minutes={minutes}", hold="train 20")
    wait_for_hold(place, "ddp_cpu", name, run)
    parent, child = run.pid, next(p for p in processes_of(name) if p != run.pid)
    stopped, other = (parent, child) if hung == 0 else (child, parent)
    os.kill(stopped, signal.SIGSTOP)
    release(place, name)

    def ended() -> bool:
        run.poll()
        try:
            return "State:\tZ" in Path(f"/proc/{other}/status").read_text()
        except OSError:
            return True

    assert wait_until(ended, 60 * minutes + 60), "it still waits for the rank that hangs"
    if hung == 0:
        os.kill(stopped, signal.SIGCONT)
    assert run.wait(150) not in (0, 75)
    assert none_left(name), "orphans"
    assert "imed out" in log_of(place, name) or "imeout" in log_of(place, name)
    assert begin(place, "ddp_cpu", name).wait(PATIENCE) == 0
    assert results(place / name) == results(place / "undisturbed-ddp_cpu")


@pytest.mark.parametrize("broken", ["0", "1"])
@pytest.mark.parametrize("where", ["train 20", "test"])
def test_an_error_of_one_rank_ends_the_run(place: Path, where: str, broken: str) -> None:
    """The other rank waits for it in the next all-reduce, and ends long before its timeout of minutes."""
    name = f"broken-{where.split()[0]}-{broken}"
    run = begin(place, "ddp_cpu", name, hold=where, broken=broken)
    wait_for_hold(place, "ddp_cpu", name, run)
    release(place, name)
    assert run.wait(150) not in (0, 75)
    assert "RuntimeError: this rank alone" in log_of(place, name)
    assert none_left(name), "orphans"
    assert begin(place, "ddp_cpu", name).wait(PATIENCE) == 0
    assert results(place / name) == results(place / "undisturbed-ddp_cpu")


@pytest.mark.parametrize(("before", "after"), [("ddp_cpu", "cpu"), ("cpu", "ddp_cpu")])
def test_another_world_size_continues_the_same_batches(place: Path, before: str, after: str) -> None:
    """Batches are global, so without dropout the losses differ from an unchanged run by the order of sums only.

    This difference grows from step to step; other batches would differ by a hundredth at once.
    """
    options, name = ("embedding.dropout=0", "trainer.log_every_n_steps=1"), f"{before}-then-{after}"
    assert begin(place, before, f"whole-{before}", *options).wait(PATIENCE) == 0
    taken = 25
    changing = begin(place, before, name, *options, hold=f"train {taken}")
    wait_for_hold(place, before, name, changing)
    changing.send_signal(signal.SIGTERM)
    release(place, name)
    assert changing.wait(150) == 75
    assert begin(place, after, name, *options).wait(PATIENCE) == 0
    whole, changed = (RunDirectory(place / n).curve("train/loss") for n in (f"whole-{before}", name))
    assert list(changed) == list(whole) == list(range(1, STEPS + 1))
    for step in whole:
        tolerance = 0 if step <= taken else 1e-5 if step <= taken + 5 else 5e-3
        assert changed[step] == pytest.approx(whole[step], rel=tolerance, abs=0), step
    for key, scores in results(place / f"whole-{before}").items():
        if key != "config_hash":
            assert results(place / name)[key]["mAP"] == pytest.approx(scores["mAP"], abs=0.01)


def test_a_run_with_a_truncated_checkpoint_continues_from_the_one_before(place: Path) -> None:
    name = "truncated-checkpoint"
    run = begin(place, "cpu", name, hold="train 35")
    wait_for_hold(place, "cpu", name, run)
    run.send_signal(signal.SIGTERM)
    release(place, name)
    assert run.wait(150) == 75
    newest, before = RunDirectory(place / name).resumable()
    os.truncate(newest, newest.stat().st_size // 2)
    assert begin(place, "cpu", name).wait(PATIENCE) == 0
    output = log_of(place, name)
    assert f"{newest.name} is damaged" in output
    assert f"continuing from {place / name / 'checkpoints' / before.name}" in output.replace("\n", "")
    assert results(place / name) == results(place / "undisturbed-cpu")


def fill(path: Path) -> None:
    """Fill the disk to the last byte."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(2**12))
            except OSError:
                return


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_leaves_the_last_good_checkpoint(place: Path) -> None:
    name = "full-disk"
    checkpoints = place / name / "checkpoints"
    checkpoints.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(checkpoints)], check=True)
    try:
        run = begin(place, "cpu", name, hold="train 25")
        wait_for_hold(place, "cpu", name, run)
        fill(checkpoints / "others")
        release(place, name)
        assert run.wait(120) == 2
        assert "no space is left to write to: free some" in log_of(place, name)
        good = RunDirectory(place / name).resumable()
        assert good
        assert all(load_checkpoint(path) for path in good), "every checkpoint is complete"
        (checkpoints / "others").unlink()
        assert set(checkpoints.iterdir()) == {*good, checkpoints / "best.ckpt"}, (
            "a part of a checkpoint was left behind"
        )
        assert begin(place, "cpu", name).wait(PATIENCE) == 0
        assert f"continuing from {good[0]}" in log_of(place, name).replace("\n", "")
        assert results(place / name) == results(place / "undisturbed-cpu")
    finally:
        subprocess.run(["umount", str(checkpoints)], check=True)
