from __future__ import annotations

import math

import pytest
import torch

from audiobag.linear import dense


def test_begins_as_glorot_has_it() -> None:
    torch.manual_seed(0)
    layer = dense(300, 200)
    bound = math.sqrt(6 / 500)
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert not layer.bias.any()
