from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiobag.runs import RunDirectory
from tests.composing import trained

EVERYTHING = (
    "logger=[csv,wandb_offline,tensorboard,mlflow]",
    "logger.wandb.artifacts=[model,predictions,tables,pictures]",
    "tags=[ours,two words]",
    "logger.wandb.notes=a note",
)


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """A complete run that all trackers have followed."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    window = [f"callbacks.averaging.{k}" for k in ("first=4", "last=8", "every=4")]
    trained(data, folder, *EVERYTHING, "experiment=attention_softmax", "callbacks=averaging", *window)
    yield RunDirectory(folder)
    assert "WANDB_DATA_DIR" not in os.environ
