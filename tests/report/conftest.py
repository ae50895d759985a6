from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from audiobag.data.store import Store
from tests.conftest import make_store
from tests.report.fabricate import make_run


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The eval set of the fabricated runs."""
    return make_store(tmp_path_factory.mktemp("data") / "eval.h5", clips=120, classes=5, seed=3)


@pytest.fixture(scope="session")
def _sweep(tmp_path_factory: pytest.TempPathFactory, scored: Store) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    for seed in range(3):
        make_run(folder / f"pooling=average,seed={seed}", scored, seed, quality=0.8)
        curves = {0: {9: 0.1, 19: 0.2}, 1: {19: 0.25, 29: 0.3 + seed / 100}}
        path = folder / f"pooling=attention_softmax,seed={seed}"
        make_run(path, scored, seed, "attention_softmax", quality=1.6, curves=curves)
    return folder


@pytest.fixture
def sweep(tmp_path: Path, _sweep: Path) -> Path:
    """Two systems with three seeds each."""
    return Path(shutil.copytree(_sweep, tmp_path / "sweep"))
