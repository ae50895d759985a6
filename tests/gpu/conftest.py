"""Tests that need a GPU. Elsewhere they are skipped, each by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.conftest import make_store

# cuBLAS sums in a fixed order only with this setting, which it reads when it starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores of bags of one length to train on, so that all kinds of steps draw the same dropout."""
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "bal_train.h5", clips=160, classes=11, dim=16, shortest=10)
    make_store(folder / "eval.h5", clips=83, classes=11, dim=16, seed=1)
    return folder
