from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from audiobag.embedding import MLP
from audiobag.loss import ClipBCE
from audiobag.pooling import Expectation, SoftmaxAttention
from audiobag.runs.safe_instantiate import safe_instantiate
from tests.composing import composed


def test_builds_the_classes_of_our_own_configurations() -> None:
    config = composed("train", "paths.run=.")
    assert isinstance(safe_instantiate(config["embedding"], in_features=4), MLP)
    pooling = safe_instantiate(config["pooling"], in_features=4, classes=3)
    assert isinstance(pooling, Expectation)
    assert isinstance(pooling.measure, SoftmaxAttention)
    assert isinstance(safe_instantiate(config["loss"]), ClipBCE)
    optimizer = safe_instantiate(config["optimizer"])
    assert isinstance(optimizer, partial)
    assert optimizer.func is torch.optim.Adam


ATTACKS: list[Any] = [
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "builtins.eval",
    "torch.hub.load",
    "torch.load",
    "torch.jit.load",
    "torch.serialization.os.system",
    "torch.nn.modules.module.functools.partial",
    "torch.utils.data.DataLoader",
    "torch.nn.Module.__init__",
    "torchevil.Net",
    "torch",
    "audiobag.cli.command.os.system",
    "audiobag.data.BagDataModule",
    "hydra.utils.get_class",
    "torch.no.such.thing",
    "",
    None,
    3,
]


@pytest.mark.parametrize("target", ATTACKS)
@pytest.mark.parametrize("nested", [False, True])
def test_refuses_targets_that_are_not_modules_optimizers_or_schedulers(
    target: object, nested: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    attack = {"_target_": target, "command": "touch owned", "_partial_": False}
    config = {"_target_": "torch.nn.Sequential", "args": [{"deeper": attack}]} if nested else attack
    with pytest.raises(ValueError, match="expected a class of modules"):
        safe_instantiate(config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["_args_", "_recursive_", "_convert_"])
def test_refuses_hydras_other_keys(key: str) -> None:
    with pytest.raises(ValueError, match=f"uses {key}"):
        safe_instantiate({"_target_": "torch.nn.Linear", key: [1, 2]})


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "theirs.py").write_text(
        "import pathlib, torch, subprocess\n"
        "pathlib.Path(__file__).with_name('imported').touch()\n"
        "class Net(torch.nn.Module):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "theirs"
    sys.modules.pop("theirs", None)


def test_another_package_is_refused_and_not_imported_unless_it_is_allowed(theirs: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"add it to allow=\[\.\.\.\]"):
        safe_instantiate({"_target_": "theirs.Net"})
    assert not (tmp_path / "imported").exists()
    with pytest.raises(ValueError, match=r"names 'theirs\.Net'"):
        safe_instantiate({"_target_": "theirs.Net"}, allow=["their"])
    for allow in ([theirs], theirs):
        assert type(safe_instantiate({"_target_": "theirs.Net"}, allow=allow)).__name__ == "Net"
    with pytest.raises(ValueError, match=r"names 'theirs\.subprocess\.Popen'"):
        safe_instantiate({"_target_": "theirs.subprocess.Popen"}, allow=[theirs])


def test_a_class_reached_through_a_trusted_package_but_defined_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stranger = type("Stranger", (nn.Module,), {"__module__": "elsewhere"})
    monkeypatch.setattr("audiobag.pooling.Stranger", stranger, raising=False)
    with pytest.raises(ValueError, match=r"audiobag\.pooling\.Stranger"):
        safe_instantiate({"_target_": "audiobag.pooling.Stranger"})


def test_an_unknown_argument_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"torch\.nn\.Linear of the file's configuration cannot be built"):
        safe_instantiate({"_target_": "torch.nn.Linear", "nonsense": 1})
