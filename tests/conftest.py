"""Shapes are checked at run time in the tests: jaxtyping and beartype wrap every function of the package."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import install_import_hook

import tests.typecheck

install_import_hook("audiobag", f"{tests.typecheck.__name__}.typechecker")

from audiobag.data.store import Columns, DatasetInfo, Store, open_store, write_store  # noqa: E402


@pytest.fixture(scope="session")
def audioset() -> Path:
    """The folder of the real AudioSet features."""
    folder = os.environ.get("AUDIOBAG_AUDIOSET")
    if not folder:
        pytest.skip("needs the real AudioSet features: set AUDIOBAG_AUDIOSET to their folder")
    return Path(folder)


def load_script(path: Path) -> ModuleType:
    """Return a script that lies outside of the package as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_store(
    path: Path,
    clips: int = 60,
    classes: int = 7,
    dim: int = 6,
    seed: int = 0,
    longest: int = 10,
    prefix: str = "clip",
    shortest: int = 1,
) -> Store:
    """Write a small random store: bags of `shortest` to `longest` frames, every class present."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, clips)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    present = rng.random((clips, classes)) < 0.2
    present[np.arange(classes), np.arange(classes)] = True
    columns = Columns(
        offsets=offsets,
        label_ids=np.nonzero(present)[1].astype(np.int16),
        label_offsets=np.concatenate([[0], np.cumsum(present.sum(1))]),
        video_id=np.array([f"{prefix}{i:06d}" for i in range(clips)], dtype=np.bytes_),
        start_seconds=np.zeros(clips, np.float32),
        end_seconds=lengths.astype(np.float32),
    )
    names = tuple(f"class {k}" for k in range(classes))
    description = DatasetInfo(names, names, frame_seconds=1.0, scale=1 / 128, offset=-1.0, source="random")
    frames = rng.integers(0, 256, (int(offsets[-1]), dim), dtype=np.uint8)
    write_store(path, frames=[frames], dim=dim, dtype=frames.dtype, columns=columns, description=description)
    return open_store(path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A small random store."""
    return make_store(tmp_path / "bal_train.h5")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small stores, to train on and to score; 41 clips cannot be cut evenly for two ranks."""
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "bal_train.h5", clips=80, classes=5)
    make_store(folder / "eval.h5", clips=41, classes=5, seed=1)
    return folder
