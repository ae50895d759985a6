"""Sweeps and runs on a SLURM cluster of two nodes: complete, killed, out of time and cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import processes_of, until
from tests.acceptance.two_nodes import two_nodes, why_not
from tests.conftest import make_store

SCRIPTS = Path(__file__).parents[2] / "docker" / "slurm"
BIN = Path(sys.executable).parent
FOUR = ("pooling=average,max", "seed=0,1")
COMMON = ("data.root=data", "threads=1", "callbacks.checkpoints.every=10")
SHORT = (*COMMON, "data.batch_size=64", "embedding.width=64", "trainer.max_steps=60", "trainer.val_check_interval=20")
LONG = (
    *COMMON,
    "data.batch_size=200",
    "embedding.width=256",
    "trainer.max_steps=300",
    "trainer.val_check_interval=100",
)
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores."""
    folder = tmp_path_factory.mktemp("slurm")
    make_store(folder / "data" / "bal_train.h5", clips=600, classes=20, dim=32)
    make_store(folder / "data" / "eval.h5", clips=300, classes=20, dim=32, seed=1)
    return folder


@pytest.fixture(scope="module")
def four(place: Path) -> dict[str, Any]:
    """Results of the sweep of four without SLURM."""
    done = train(place, os.environ, "-m", *SHORT, *FOUR, "hydra.sweep.dir=without")
    assert done.returncode == 0, done.stdout
    return results(place / "without")


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> dict[str, Any]:
    """Results of the long run without SLURM."""
    done = train(place, os.environ, *LONG, "hydra.run.dir=undisturbed")
    assert done.returncode == 0, done.stdout
    return dict(results(place / "undisturbed")["undisturbed"])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with two_nodes(tmp_path_factory.mktemp("cluster")) as environment:
        yield {**environment, "PATH": f"{BIN}:{environment['PATH']}"}


def begin(folder: Path, environment: Mapping[str, str], *options: str) -> subprocess.Popen[str]:
    command = [BIN / "audiobag-train", *options]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def train(folder: Path, environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    running = begin(folder, environment, *options)
    output, _ = running.communicate(timeout=600)
    return subprocess.CompletedProcess(running.args, running.returncode, output)


def results(folder: Path) -> dict[str, Any]:
    """Return the results of each job of a sweep, or of a run."""
    read = {p.parent.name: json.loads(p.read_text()) for p in sorted(folder.rglob("metrics.json"))}
    return {name: {k: r[k] for k in ("config_hash", "val", "test")} for name, r in read.items()}


def wait_for_step(run: Path, step: int) -> None:
    def taken() -> bool:
        try:
            return bool(json.loads((run / "progress.json").read_text())["step"] >= step)
        except (OSError, ValueError):
            return False

    until(f"step {step} of {run}", taken)


def test_sweep_equals_that_of_one_machine_and_reruns_only_missing_jobs(
    place: Path, slurm: Mapping[str, str], four: dict[str, Any]
) -> None:
    command = ("-m", "hydra/launcher=slurm_gpu", *SHORT, *FOUR, "hydra.sweep.dir=four")
    done = train(place, slurm, *command)
    assert done.returncode == 0, done.stdout
    assert len(four) == 4
    assert results(place / "four") == four

    missing = place / "four" / "pooling-max__seed-0"
    (missing / "metrics.json").rename(place / "moved.json")
    before = {p.parent.name: p.stat().st_mtime_ns for p in (place / "four").glob("*/metrics.json")}
    done = train(place, slurm, *command)
    assert done.returncode == 0, done.stdout
    after = {p.parent.name: p.stat().st_mtime_ns for p in (place / "four").glob("*/metrics.json")}
    assert after.pop(missing.name)
    assert after == before, "a complete job was run again"
    assert results(place / "four") == four


def test_a_sweep_that_leaves_is_submitted_once_and_runs_the_code_of_its_start(
    place: Path, slurm: Mapping[str, str], four: dict[str, Any]
) -> None:
    (place / "beside.py").write_text("from audiobag.embedding import MLP as Mine\n")
    own = {**slurm, "PYTHONPATH": str(place)}
    options = (*SHORT, *FOUR, "embedding._target_=beside.Mine", "hydra.sweep.dir=left")
    command = ("-m", "hydra/launcher=slurm_gpu", "hydra.launcher.wait=false", *options)
    began = time.monotonic()
    left = train(place, own, *command)
    assert left.returncode == 0, left.stdout
    assert "4 jobs: 4 submitted" in left.stdout
    (place / "beside.py").write_text("raise RuntimeError('the module was edited during the sweep')\n")
    again = train(place, {**own, "PYTHONPATH": ""}, *command[:2], *options)  # waits for the jobs in the queue
    assert time.monotonic() - began < 400
    assert again.returncode == 0, again.stdout
    assert "0 submitted" in again.stdout
    found = results(place / "left")
    assert {name: (r["val"], r["test"]) for name, r in found.items()} == {
        name: (r["val"], r["test"]) for name, r in four.items()
    }
    last = train(place, own, *command)
    assert (last.returncode, "4 jobs: 0 submitted, 4 done before" in last.stdout) == (0, True)


@pytest.mark.parametrize("killed", ["the run", "all of its task"])
def test_a_killed_job_is_named_and_the_same_command_continues(
    place: Path, slurm: Mapping[str, str], killed: str
) -> None:
    sweep = f"killed-{killed.split()[0]}"
    command = ("-m", "hydra/launcher=slurm_gpu", "seed=0,1", *LONG, f"hydra.sweep.dir={sweep}")
    running = begin(place, slurm, *command)
    wait_for_step(place / sweep / "seed-1", 20)
    victims = processes_of(f"{sweep}/seed-1")
    if killed != "the run":
        (task,) = {parent_of(pid) for pid in victims}
        victims = [task, *victims]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    output, _ = running.communicate(timeout=300)
    assert running.returncode == 3, output
    assert f"{sweep}/seed-1" in output, output
    assert time.monotonic() - began < 240
    assert processes_of(f"{sweep}/seed-1") == []
    done = train(place, slurm, *command)
    assert done.returncode == 0, done.stdout
    assert sorted(results(place / sweep)) == ["seed-0", "seed-1"]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_two_nodes_equal_one_process(place: Path, slurm: Mapping[str, str]) -> None:
    """Batches are global, so without dropout the results differ by the order of sums only."""
    alone = train(place, os.environ, *SHORT, "embedding.dropout=0", "hydra.run.dir=alone")
    assert alone.returncode == 0, alone.stdout
    ddp = ("trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2")
    where = ("hydra.sweep.dir=nodes", "hydra.sweep.subdir=both")
    done = train(place, slurm, "-m", "hydra/launcher=slurm_two_nodes", *SHORT, "embedding.dropout=0", *ddp, *where)
    assert done.returncode == 0, done.stdout
    one, two = results(place / "alone")["alone"], results(place / "nodes")["both"]
    assert json.loads((place / "nodes" / "both" / "metrics.json").read_text())["train"]["devices"] == 2
    assert one["config_hash"] == two["config_hash"]
    for part in ("val", "test"):
        for metric in ("mAP", "AUC", "d_prime"):
            assert two[part][metric] == pytest.approx(one[part][metric], abs=1e-5)


def sbatch(place: Path, slurm: Mapping[str, str], *arguments: str | Path) -> str:
    done = subprocess.run(
        ["sbatch", "--parsable", *arguments],
        cwd=place,
        env=slurm,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def wait_for_job(slurm: Mapping[str, str], job: str, seconds: float = 400) -> dict[str, str]:
    """Wait until the job, or each job of its array, has ended; return their states by number."""
    deadline = time.monotonic() + seconds
    command = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=JobID,State"]
    while time.monotonic() < deadline:
        queued = subprocess.run(["squeue", "-h", "-j", job], env=slurm, capture_output=True, text=True, timeout=60)
        if not queued.stdout.strip():
            output = subprocess.run(command, env=slurm, capture_output=True, text=True, timeout=60, check=True).stdout
            states = dict(line.split("|") for line in output.splitlines())
            if states and not {"RUNNING", "PENDING", "REQUEUED"} & set(states.values()):
                return states
        time.sleep(0.5)
    raise TimeoutError(f"job {job} did not end")


def test_a_job_with_notice_is_requeued_and_its_sweep_waits_for_it(
    place: Path, slurm: Mapping[str, str], undisturbed: dict[str, Any]
) -> None:
    where = ("hydra.sweep.dir=noticed", "hydra.sweep.subdir=one")
    running = begin(place, slurm, "-m", "hydra/launcher=slurm_gpu", *LONG, *where)
    run = place / "noticed" / "one"
    wait_for_step(run, 30)
    queue = ["squeue", "--noheader", "--name=train", "--format=%i"]
    job = subprocess.run(queue, env=slurm, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    subprocess.run(["scancel", "--signal=USR1", job], env=slurm, timeout=60, check=True)
    output, _ = running.communicate(timeout=900)
    assert running.returncode == 0, output
    assert "continuing from" in (run / "job.log").read_text()
    assert results(run) == {"one": undisturbed}


def test_a_run_whose_time_is_up_is_requeued_and_continues(
    place: Path, slurm: Mapping[str, str], undisturbed: dict[str, Any]
) -> None:
    job = sbatch(place, slurm, "--time=20", "--signal=USR1@300", "--output=up.log", SCRIPTS / "train.sbatch", *LONG)
    run = place / "outputs" / "slurm" / job
    wait_for_step(run, 30)
    (pid,) = [p for p in processes_of(f"outputs/slurm/{job}") if "python" in str(Path(f"/proc/{p}/exe").readlink())]
    os.kill(pid, signal.SIGSTOP)  # SLURM checks the time twice a minute, and the run would be complete by then
    limit(slurm, job, 5)
    until("notice", lambda: has_notice(pid))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    until("the queue", lambda: "Restarts=1" in show(slurm, job))
    assert not (run / "metrics.json").exists()
    limit(slurm, job, 20)
    assert wait_for_job(slurm, job) == {job: "COMPLETED"}, (place / "up.log").read_text()
    assert "continuing from" in (place / "up.log").read_text()
    assert results(run) == {job: undisturbed}


def limit(slurm: Mapping[str, str], job: str, minutes: int) -> None:
    command = ["scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}"]
    subprocess.run(command, env=slurm, timeout=60, check=True)


def has_notice(pid: int) -> bool:
    """Return whether SIGUSR1 is pending for a stopped process, or has ended it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    (line,) = [x for x in status.splitlines() if x.startswith("ShdPnd:")]
    return bool(int(line.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)


def show(slurm: Mapping[str, str], job: str) -> str:
    command = ["scontrol", "show", "job", job]
    return subprocess.run(command, env=slurm, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_cancelled_job_is_not_requeued(place: Path, slurm: Mapping[str, str]) -> None:
    job = sbatch(place, slurm, "--output=cancelled.log", SCRIPTS / "train.sbatch", *LONG)
    wait_for_step(place / "outputs" / "slurm" / job, 5)
    subprocess.run(["scancel", job], env=slurm, timeout=60, check=True)
    (state,) = wait_for_job(slurm, job).values()
    assert state.startswith("CANCELLED")
    assert list((place / "outputs" / "slurm" / job / "checkpoints").glob("step-*.ckpt"))


def test_array_equals_the_sweep_of_four(place: Path, slurm: Mapping[str, str], four: dict[str, Any]) -> None:
    lines = [f"pooling={pooling} seed={seed}" for pooling in ("average", "max") for seed in (0, 1)]
    (place / "four.txt").write_text("\n".join(lines) + "\n")
    job = sbatch(place, slurm, "--array=1-5", "--output=array-%a.log", SCRIPTS / "sweep.sbatch", "four.txt", *SHORT)
    states = wait_for_job(slurm, job)
    assert states == {f"{job}_{n}": "FAILED" if n == 5 else "COMPLETED" for n in range(1, 6)}
    assert "four.txt has no line 5" in (place / "array-5.log").read_text()
    assert results(place / "outputs" / "sweeps" / "four") == four
