"""The launcher presets: the resources that a job requests of the cluster."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import audiobag.cli.command  # noqa: F401 - registers the resolvers
from audiobag.cli import schema


def launcher(name: str) -> dict[str, Any]:
    schema.register("train")
    with initialize_config_module("audiobag.conf", version_base="1.3"):
        config = compose("train", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    plain = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


@pytest.mark.parametrize(
    ("name", "nodes", "gpus"), [("slurm_gpu", 1, 1), ("slurm_node", 1, 4), ("slurm_two_nodes", 2, 4)]
)
def test_slurm_presets_request_nodes_and_gpus(name: str, nodes: int, gpus: int) -> None:
    requested = launcher(name)
    assert (requested["nodes"], requested["tasks_per_node"], requested["gpus_per_node"]) == (nodes, 1, gpus)
    assert requested["setup"] == ["export PYTHONSAFEPATH=1"]
    more = requested["additional_parameters"]
    assert (more["signal"], more["requeue"]) == ("USR1@120", True)
    assert more.get("exclusive", False) is (gpus == 4)


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra [ray]")
def test_ray_preset_shares_a_gpu_among_four_jobs() -> None:
    assert launcher("ray_shared")["ray"]["remote"] == {"num_gpus": 0.25, "num_cpus": 2, "max_retries": 0}
