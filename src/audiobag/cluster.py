"""Which of a run's processes this one is, and who starts the others: torchrun, SLURM, or Lightning itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from audiobag.errors import UserError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

# Lightning, whoever starts one process a node, and srun each count in a variable of their own.
_RANKS = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this is the first of a run's processes, which is the one that locks, reports and requeues.

    torchrun's RANK counts over all nodes, and its first need not be on SLURM's first node: where it is given, it
    alone decides.
    """
    if "RANK" in environment:
        return environment["RANK"] == "0"
    return all(environment.get(name, "0") == "0" for name in _RANKS)


def cluster_environment(devices: int, nodes: int) -> ClusterEnvironment | None:
    """Return what tells Lightning of a run's other processes under SLURM; None elsewhere, for its own finding.

    One task a device is one rank a task. One task a node holds all of the node's devices: Lightning starts the
    others, as it does on one machine, and unlike torchrun keeps the exit codes and survives SIGUSR1.

    Args:
        devices: of each node.
        nodes: of the run.

    Raises:
        UserError: srun started another number of tasks than either.
    """
    if "SLURM_JOB_ID" not in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        return None
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", nodes))  # without srun there is no step
    if tasks == devices * nodes > 1:
        # Whoever started the job requeues it, by the exit code; Lightning would too, on SIGUSR1.
        return SLURMEnvironment(auto_requeue=False)
    if tasks != nodes:
        raise UserError(
            f"srun started {tasks} tasks, but trainer.num_nodes={nodes} with {devices} device(s) each: start one task a"
            " node or one a device"
        )
    if nodes > 1:
        found = SLURMEnvironment(auto_requeue=False)  # it names the first node, and a port of this job's own
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = found.main_address, str(found.main_port)
        os.environ["NODE_RANK"] = str(found.node_rank())
    return LightningEnvironment()
