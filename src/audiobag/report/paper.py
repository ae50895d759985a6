"""The results in the paper's three tables, which reports show beside their own.

Source: "Audio Set classification with attention model: A probabilistic perspective" (2018), tables 1 to 3. All systems
were trained on 2,063,949 clips and score the mean of the predictions of eleven checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiobag.labels import audioset_classes
from audiobag.utils.configs import flatten


@dataclass(frozen=True, slots=True)
class Published:
    """One row of the paper: means over the 527 classes, d-prime of the mean AUC."""

    title: str
    mAP: float  # noqa: N815 - the field's name
    AUC: float
    d_prime: float


# A system of the paper is a choice of (sampler, embedding, pooling, loss).
_ROWS = {
    ("uniform", "mlp", "average", "clip"): Published("Average pooling, without balancing", 0.275, 0.957, 2.429),
    ("balanced", "mlp", "average", "clip"): Published("Average pooling", 0.296, 0.960, 2.473),
    ("balanced", "mlp", "max", "clip"): Published("Max pooling", 0.284, 0.958, 2.442),
    ("balanced", "mlp", "attention_relu", "clip"): Published("Attention, ReLU measure", 0.306, 0.961, 2.500),
    ("balanced", "mlp", "attention_sigmoid", "clip"): Published("Attention, sigmoid measure", 0.326, 0.964, 2.547),
    ("balanced", "mlp", "attention_softmax", "clip"): Published("Attention, softmax measure", 0.327, 0.965, 2.558),
    ("balanced", "mlp", "average", "frame"): Published("Google's baseline, frame by frame", 0.314, 0.959, 2.452),
    ("balanced", "gru", "average", "clip"): Published("RNN, average pooling", 0.325, 0.960, 2.480),
}


# Data sets made of AudioSet's own features. The synthetic one has the same classes and is no AudioSet.
_DATA: Final = {"balanced", "full", "longtail"}
# What all systems of the paper share, and their networks. The number of steps is not a part: reports show it.
_RECIPE: Final[Mapping[str, Any]] = {
    "data.batch_size": 500,
    "data.val_fraction": 0,
    "optimizer._target_": "torch.optim.Adam",
    "optimizer.lr": 0.001,
    "optimizer.weight_decay": 0,
}
_NETWORKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mlp": {"depth": 3, "width": 500, "dropout": 0.2, "batch_norm": False},
    "gru": {"depth": 2, "width": 500, "dropout": 0.2, "bidirectional": True},
}


def published(choices: Mapping[str, str], config: Mapping[str, Any], classes: Sequence[str]) -> Published | None:
    """Return the row of the paper for a run; None unless it is a system of the paper, on AudioSet, with its recipe.

    Args:
        choices: the option chosen of each configuration group.
        config: the resolved configuration.
        classes: names of the classes.
    """
    row = _ROWS.get(tuple(choices.get(group, "") for group in ("sampler", "embedding", "pooling", "loss")))  # type: ignore[arg-type]
    if row is None or choices.get("data") not in _DATA or tuple(classes) != audioset_classes().names:
        return None
    network = {f"embedding.{key}": value for key, value in _NETWORKS[choices["embedding"]].items()}
    found = flatten(config)
    same = all(key in found and found[key] == value for key, value in {**_RECIPE, **network}.items())
    return row if same and not config.get("lr_scheduler") else None
