"""Configurations as the commands compose them, and trainings from them, without starting a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from audiobag.cli import schema
from audiobag.cli.python import TrainedRun, train


def composed(root: str, *overrides: str) -> dict[str, Any]:
    """Return a root configuration with these overrides, resolved, in plain containers."""
    schema.register(root)
    with initialize_config_module("audiobag.conf", version_base="1.3"):
        config = compose(root, overrides=list(overrides))
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


SMALL = (
    "data.batch_size=16",
    "data.val_fraction=0.3",
    "embedding.width=8",
    "trainer.max_steps=8",
    "trainer.val_check_interval=4",
    "trainer.log_every_n_steps=2",
    "callbacks.checkpoints.every=3",
)


def small_training(data: Path, run: Path, *overrides: str) -> dict[str, Any]:
    """Return the configuration of a training that takes a second."""
    return composed("train", f"data.root={data}", f"paths.run={run}", *SMALL, *overrides)


def trained(data: Path, out: Path, *overrides: str) -> TrainedRun:
    """Return a training that takes a second, as `audiobag.train` makes it."""
    return train(*SMALL, *overrides, data_root=data, out=out)
