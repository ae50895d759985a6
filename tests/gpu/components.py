"""The components of each configuration group, by the names of their YAML files."""

from __future__ import annotations

from pathlib import Path

import audiobag.conf
import torch
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.cli.python import TrainedRun, train
from audiobag.model import BagClassifier
from tests.composing import SMALL

CONF = Path(audiobag.conf.__file__).parent
PRECISIONS = {"32-true": None, "16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


def names(group: str) -> list[str]:
    """Return the options of a group."""
    return sorted(p.stem for p in (CONF / group).glob("*.yaml"))


def options(group: str, name: str) -> tuple[str, ...]:
    """Return the overrides that choose an option, with layers that are quick to train."""
    width = () if (group, name) == ("embedding", "identity") else ("embedding.width=32",)
    return (f"{group}={name}", *width)


def without_dropout(module: nn.Module) -> None:
    """Set all dropout rates to 0; generators of other devices draw other numbers."""
    for part in module.modules():
        for rate in ("rate", "dropout", "p"):
            if isinstance(getattr(part, rate, None), float):
                setattr(part, rate, 0.0)


def in_double(model: BagClassifier, frames: Tensor, mask: Tensor) -> BagPrediction:
    """Return the prediction with frames in fp64; what a pooling computes in fp32 under any precision stays so."""
    x = frames.double() * model.scale + model.offset
    prediction: BagPrediction = model.pooling(model.embedding(x, mask), mask)
    return prediction


def trained(data: Path, out: Path, *overrides: str) -> TrainedRun:
    """Return a training of eight small steps; `embedding.width` is left to `options`."""
    return train(*(option for option in SMALL if "width" not in option), *overrides, data_root=data, out=out)
