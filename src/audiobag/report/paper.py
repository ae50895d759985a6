"""The results in the paper's three tables, which reports show beside their own.

Source: "Audio Set classification with attention model: A probabilistic perspective" (2018), tables 1 to 3. All systems
were trained on 2,063,949 clips and score the mean of the predictions of eleven checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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


def published(choices: Mapping[str, str]) -> Published | None:
    """Return the row of the paper for a run's choices of sampler, embedding, pooling and loss; None if it has none."""
    key = tuple(choices.get(group, "") for group in ("sampler", "embedding", "pooling", "loss"))
    return _ROWS.get(key)  # type: ignore[arg-type]
