"""Random inputs for the suites: a batch of bags with 5, 1, 3 and 2 frames, and a table of labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from audiobag.labels import LabelTable

LENGTHS = torch.tensor([5, 1, 3, 2])


def random_bags(features: int) -> tuple[Tensor, Tensor]:
    """Return frames [4, 5, features] and their mask [4, 5]."""
    x = 2 * torch.randn(4, 5, features, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(5) < LENGTHS[:, None]


def with_more_padding(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same bags with large numbers in their padding and three more frames of it."""
    B, _, features = x.shape
    x = torch.cat([torch.where(mask[..., None], x, 50.0), torch.full((B, 3, features), -9.0)], 1)
    return x, torch.cat([mask, torch.zeros(B, 3, dtype=torch.bool)], 1)


def random_labels(clips: int, classes: int) -> LabelTable:
    """Return labels of which every class has at least one and the frequencies of classes differ widely."""
    present = np.random.default_rng(0).random((clips, classes)) < 0.5 ** np.linspace(1, 7, classes)
    present[np.arange(classes), np.arange(classes)] = True
    return LabelTable(np.nonzero(present)[1], np.concatenate([[0], np.cumsum(present.sum(1))]), classes)
