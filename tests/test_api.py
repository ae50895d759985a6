from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import audiobag


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, audiobag; print(sorted({'torch', 'numpy', 'lightning', 'h5py', 'hydra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_what_loads_and_predicts_imports_neither_scipy_nor_matplotlib() -> None:
    """A training does: torchmetrics, which Lightning needs, imports both."""
    modules = "audiobag.cli.command, audiobag.export, audiobag.prediction, audiobag.doctor, audiobag.sweep.launch"
    code = f"import sys, {modules}; print(sorted({{'scipy', 'matplotlib', 'lightning', 'wandb'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_and_listed() -> None:
    for name in audiobag.__all__:
        assert getattr(audiobag, name) is not None
        assert name in dir(audiobag)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = audiobag.nothing


def test_no_module_has_the_name_of_a_function_or_class() -> None:
    # Importing audiobag.predict would put the module where the function is.
    names = set(audiobag.__all__) - {"metrics", "training", "__version__"}
    assert [name for name in names if importlib.util.find_spec(f"audiobag.{name}")] == []


def test_a_notebook_loads_predicts_and_scores(tmp_path: Path) -> None:
    from tests.export.fabricate import make_run

    checkpoint, store = make_run(tmp_path / "run")
    tagger = audiobag.load(checkpoint)
    offsets = store.columns.offsets
    bags = [store.frames[a:b] for a, b in pairwise(offsets)]
    prediction = audiobag.predict(tagger, bags)
    for same in (tagger.predict(bags), audiobag.predict(checkpoint, bags), audiobag.predict(str(checkpoint), bags)):
        torch.testing.assert_close(same.clip, prediction.clip)
    padded = torch.zeros(2, 12, store.dim, dtype=torch.uint8)
    for row, bag in zip(padded, bags):
        row[: len(bag)] = torch.from_numpy(bag)
    some = audiobag.predict(tagger, padded, [len(bag) for bag in bags[:2]])
    torch.testing.assert_close(some.clip, prediction.clip[:2])
    labels = torch.from_numpy(store.labels.dense())
    scores = audiobag.metrics.tagging_scores(prediction.clip, labels)
    assert prediction.clip.shape == labels.shape
    assert 0 < scores.mAP < 1
    assert scores.classes == 5
