from __future__ import annotations

import math

import pytest
import torch

from audiobag.kernels.dense import dense, full_precision, output_layer


def test_weights_are_initialised_by_glorots_uniform_rule_and_biases_with_zero() -> None:
    torch.manual_seed(0)
    layer = dense(300, 200)
    bound = math.sqrt(6 / 500)
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert not layer.bias.any()


def test_output_layer_starts_at_the_prior() -> None:
    layer = output_layer(30, 20, prior=0.01)
    torch.testing.assert_close(layer(torch.zeros(3, 30)).sigmoid(), torch.full((3, 20), 0.01))
    assert layer.weight.abs().max().item() <= math.sqrt(6 / 50)


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0])
def test_prior_outside_of_0_and_1_is_refused(prior: float) -> None:
    with pytest.raises(ValueError, match=r"^prior must be a number in \(0, 1\), got"):
        output_layer(3, 2, prior)


def test_full_precision_ignores_autocast() -> None:
    torch.manual_seed(0)
    layer, x = dense(8, 4), torch.randn(3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found, rounded = full_precision(layer, x), layer(x)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(found, layer(x))
