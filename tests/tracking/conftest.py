from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audiobag.experiment import train
from audiobag.runs import RunDirectory
from tests.composing import small_training

CHOICES = {"data": "synthetic", "pooling": "attention_softmax", "experiment": "paper/attention_softmax"}
EVERYTHING = ("logger=[csv,wandb_offline,tensorboard,mlflow]", "logger.wandb.tags=[ours]", "logger.wandb.notes=a note")


def track(data: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    """Run a small training as audiobag-train would."""
    folder.mkdir(parents=True, exist_ok=True)
    return train(small_training(data, folder, *overrides), RunDirectory(folder), CHOICES)


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """A complete run that all trackers have followed."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    window = [f"callbacks.averaging.{k}" for k in ("first=4", "last=8", "every=4")]
    track(data, folder, *EVERYTHING, "callbacks=averaging", *window)
    yield RunDirectory(folder)
    assert "WANDB_DATA_DIR" not in os.environ
