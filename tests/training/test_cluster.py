"""Which of a run's processes this is, as torchrun, SLURM and Lightning each tell it."""

from __future__ import annotations

import os

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from audiobag.training.cluster import cluster_environment, is_first


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin outside of all clusters, and leave nothing of one to other tests."""
    known = ("RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")
    for name in (*known, *(n for n in os.environ if n.startswith("SLURM_"))):
        monkeypatch.setenv(name, "")  # noted by monkeypatch, which puts back what a test's subject sets
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "1"}, False),
        # torchrun counts over all nodes, and its first need not be on SLURM's first node.
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "1"}, True),
        ({"RANK": "1", "LOCAL_RANK": "0", "SLURM_PROCID": "0"}, False),
    ],
    ids=str,
)
def test_is_first(environment: dict[str, str], first: bool) -> None:
    assert is_first(environment) is first


def slurm(monkeypatch: pytest.MonkeyPatch, **variables: object) -> None:
    base = {
        "JOB_ID": 4711,
        "NODELIST": "gpu[07-08]",
        "NODEID": 1,
        "PROCID": 1,
        "LOCALID": 0,
        "NTASKS": 2,
        "NTASKS_PER_NODE": 1,
    }
    for name, value in {**base, **variables}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))


def test_outside_of_slurm_and_under_torchrun_lightning_finds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_environment(2, 1) is None
    slurm(monkeypatch)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cluster_environment(2, 2) is None


def test_a_task_a_device_is_a_rank_a_task_and_lightning_does_not_requeue(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, STEP_NUM_TASKS=4)
    found = cluster_environment(2, 2)
    assert isinstance(found, SLURMEnvironment)
    assert not found.auto_requeue


def test_a_task_a_node_starts_its_ranks_itself_and_meets_at_the_first_node(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, STEP_NUM_TASKS=2)
    found = cluster_environment(4, 2)
    assert isinstance(found, LightningEnvironment)
    assert (found.main_address, found.node_rank()) == ("gpu07", 1)
    assert found.main_port == 15000 + 4711


@pytest.mark.parametrize("step", [{}, {"STEP_NUM_TASKS": 1}], ids=["batch script", "srun"])
def test_one_task_is_one_machine(monkeypatch: pytest.MonkeyPatch, step: dict[str, int]) -> None:
    slurm(monkeypatch, **step)
    assert isinstance(cluster_environment(1, 1), LightningEnvironment)
    assert isinstance(cluster_environment(4, 1), LightningEnvironment)
    assert "MASTER_ADDR" not in os.environ


def test_another_number_of_tasks_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, STEP_NUM_TASKS=3)
    with pytest.raises(ValueError, match=r"num_nodes must fit the 3 tasks that srun started, got 2 with 4"):
        cluster_environment(4, 2)
