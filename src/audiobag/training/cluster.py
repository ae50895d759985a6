"""The processes of a run: which one this is, and what starts the others (torchrun, SLURM or Lightning)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

# Variables of Lightning, of launchers that start one process a node, and of srun.
_RANKS: Final = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this is the first process of a run, which locks its folder, prints results and requeues the job.

    torchrun's RANK counts over all nodes, and its first rank need not be on SLURM's first node, so RANK alone decides
    where it is set.
    """
    if "RANK" in environment:
        return environment["RANK"] == "0"
    return all(environment.get(name, "0") == "0" for name in _RANKS)


def cluster_environment(devices: int, nodes: int) -> ClusterEnvironment | None:
    """Return the cluster environment under SLURM; None elsewhere, where Lightning finds its own.

    With one SLURM task per device each task is a rank. With one task per node Lightning starts the other ranks of the
    node, which unlike torchrun keeps their exit codes and survives SIGUSR1.

    Raises:
        ValueError: srun started neither one task per device nor one per node.
    """
    if "SLURM_JOB_ID" not in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        return None
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", nodes))  # without srun there is no step
    if tasks == devices * nodes > 1:
        # Whatever started the job requeues it by its exit code, so Lightning must not do so on SIGUSR1.
        return SLURMEnvironment(auto_requeue=False)
    if tasks != nodes:
        raise InputError(
            f"num_nodes must fit the {tasks} tasks that srun started, got {nodes} with {devices} device(s) each: start"
            " one task per node or one per device"
        )
    if nodes > 1:
        found = SLURMEnvironment(auto_requeue=False)  # knows the first node, and a port of this job's own
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = found.main_address, str(found.main_port)
        os.environ["NODE_RANK"] = str(found.node_rank())
    return LightningEnvironment()
