from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from audiobag.data import BagDataset
from audiobag.embedding import MLP
from audiobag.model import BagClassifier
from audiobag.pooling import Expectation, SoftmaxAttention
from audiobag.training.summary import flops_per_step
from tests.conftest import make_store


def test_flops_are_those_that_torch_counts(tmp_path: Path) -> None:
    """torch leaves out the gradient of the input of the first layer."""
    dataset = BagDataset([make_store(tmp_path / "a.h5", clips=16, dim=6, longest=1)])
    model = BagClassifier(MLP(6, width=40, dropout=0.0), Expectation(40, 7, SoftmaxAttention))
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(16, 1, 6), torch.ones(16, 1, dtype=torch.bool)).clip.sum().backward()
    first_layers_input = 2 * 16 * 6 * 40
    assert flops_per_step(model, dataset, 16) == pytest.approx(counter.get_total_flops() + first_layers_input)
