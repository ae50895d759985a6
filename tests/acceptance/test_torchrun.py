"""torchrun, static and elastic, and the pods of a PyTorchJob: two local processes have the results of one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.acceptance.running import PATIENCE, processes_of, wait_for_step
from tests.conftest import make_store

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OPTIONS = (
    "data.root=data",
    "data.batch_size=64",
    "embedding.width=64",
    "embedding.dropout=0",
    "threads=1",
    "trainer.val_check_interval=20",
    "callbacks.checkpoints.every=10",
)
SHORT = (*OPTIONS, "trainer.max_steps=40")
TWO = ("trainer=ddp_cpu", "trainer.devices=2")
ELASTIC = ("--nnodes=1:2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--rdzv-id=audiobag")
STARTED: list[subprocess.Popen[bytes]] = []
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores and the run of one process."""
    folder = tmp_path_factory.mktemp("torchrun")
    make_store(folder / "data" / "bal_train.h5", clips=600, classes=20, dim=32)
    make_store(folder / "data" / "eval.h5", clips=300, classes=20, dim=32, seed=1)
    alone = begin(folder, BIN / "audiobag-train", *SHORT, "hydra.run.dir=alone")
    assert alone.wait(PATIENCE) == 0
    return folder


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    for process in STARTED:
        process.terminate()  # the ranks of torchrun are in sessions of their own; it ends them
    while STARTED:
        STARTED.pop().wait(60)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def begin(folder: Path, *command: str | Path, **variables: str) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    STARTED.append(process)
    return process


def torchrun(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    # In torch 2.13, ranks that are restarted would read the addresses of the previous ranks from a shared store.
    unshared = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return begin(folder, BIN / "torchrun", "--nproc-per-node=2", *options, **unshared)


def check(place: Path, name: str) -> None:
    """Compare with one process: batches are global, so the results differ by the order of sums only."""
    one, two = (json.loads((place / run / "metrics.json").read_text()) for run in ("alone", name))
    assert two["train"]["devices"] == 2
    for part in ("val", "test"):
        for metric in ("mAP", "AUC", "d_prime"):
            assert two[part][metric] == pytest.approx(one[part][metric], abs=1e-5)


@pytest.mark.parametrize("how", ["static", "elastic"])
def test_two_ranks_of_torchrun_equal_one_process(place: Path, how: str) -> None:
    options = (f"--master-port={free_port()}",) if how == "static" else ELASTIC
    run = torchrun(place, *options, "-m", "audiobag.cli.train", *SHORT, *TWO, f"hydra.run.dir={how}")
    assert run.wait(PATIENCE) == 0, (place / "log").read_text()[-3000:]
    check(place, how)


def test_elastic_starts_all_ranks_again_when_one_dies(place: Path) -> None:
    """In the same folder, the ranks that torchrun restarts continue from the last checkpoint."""
    longer = (*OPTIONS, "trainer.max_steps=400", *TWO, "hydra.run.dir=killed")
    run = torchrun(place, *ELASTIC, "--max-restarts=1", "-m", "audiobag.cli.train", *longer)
    wait_for_step(place / "killed", run, 30)
    ranks = [rank for rank in processes_of("hydra.run.dir=killed") if rank != run.pid]
    os.kill(max(ranks), signal.SIGKILL)
    assert run.wait(PATIENCE) == 0, (place / "log").read_text()[-3000:]
    assert "continuing from" in (place / "log").read_text()
    assert json.loads((place / "killed" / "metrics.json").read_text())["status"] == "done"


def pods(place: Path, *options: str) -> list[subprocess.Popen[bytes]]:
    """Start the commands of the two pods as the operator does, each in a process group of its own, as under tini."""
    job = yaml.safe_load((ROOT / "docker" / "k8s" / "base" / "ddp.yaml").read_text())
    (place / "bin").mkdir(exist_ok=True)
    shutil.copy(ROOT / "docker" / "entrypoint.sh", place / "bin" / "audiobag")
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    variables["PATH"] = f"{place / 'bin'}:{BIN}:{os.environ['PATH']}"
    started = []
    for rank, replica in enumerate(job["spec"]["pytorchReplicaSpecs"].values()):
        (container,) = replica["template"]["spec"]["containers"]
        arguments = [argument.replace("$(DATA)", "data") for argument in container["args"]]  # as Kubernetes does
        command = [*container["command"][3:], *arguments, "trainer=ddp_cpu", "trainer.devices=1", *options]
        started.append(begin(place, *command, **variables, RANK=str(rank)))
    return started


def test_pods_of_a_pytorchjob_equal_one_process(place: Path) -> None:
    ranks = pods(place, *SHORT)
    assert [rank.wait(PATIENCE) for rank in ranks] == [0, 0], (place / "log").read_text()[-3000:]
    (place / "outputs" / "ddp").rename(place / "pods")
    check(place, "pods")


def test_pods_that_are_interrupted_continue_when_started_again(place: Path) -> None:
    longer = (*OPTIONS, "trainer.max_steps=400")
    ranks = pods(place, *longer)
    wait_for_step(place / "outputs" / "ddp", ranks[0], 30)
    for rank in ranks:
        os.killpg(rank.pid, signal.SIGTERM)
    assert [rank.wait(60) for rank in ranks] == [143, 143], (place / "log").read_text()[-3000:]
    ranks = pods(place, *longer)
    assert [rank.wait(PATIENCE) for rank in ranks] == [0, 0], (place / "log").read_text()[-3000:]
    assert json.loads((place / "outputs" / "ddp" / "metrics.json").read_text())["status"] == "done"
