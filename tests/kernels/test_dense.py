from __future__ import annotations

import math

import pytest
import torch

from audiobag.kernels.dense import dense


def test_weights_are_initialised_by_glorots_uniform_rule_and_biases_with_zero() -> None:
    torch.manual_seed(0)
    layer = dense(300, 200)
    bound = math.sqrt(6 / 500)
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert not layer.bias.any()
