"""Hierarchical pooling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from audiobag.pooling import Average, Expectation, Hierarchical, LinearSoftmax, Max, Measure, SigmoidAttention
from audiobag.testing import PoolingSuite
from audiobag.testing.pooling import Arrays
from tests.oracles import pooling as oracle

Array = NDArray[np.float64]


class InStages(PoolingSuite):
    """The suite, with the weights of a bag as the oracle."""

    order_matters = True
    inner: type[Measure]
    lengths: list[int]
    weights: Callable[[Array], Array]

    def make(self, in_features: int, classes: int) -> nn.Module:
        return Hierarchical(in_features, classes, self.inner, self.lengths)

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: dict[str, Array]) -> Arrays:
        W, b = parameters["classifier.weight"], parameters["classifier.bias"]
        return oracle.expectation(h, lengths, W, b, lambda h, f: oracle.in_stages(f, self.lengths, type(self).weights))


class TestLinearSoftmaxInThreeStages(InStages):
    inner, lengths = LinearSoftmax, [2, 2]

    @staticmethod
    def weights(f: Array) -> Array:
        return f


class TestAverageInTwoStages(InStages):
    inner, lengths = Average, [3]
    weights = np.ones_like


class TestAttention(PoolingSuite):
    order_matters = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        return Hierarchical(in_features, classes, SigmoidAttention, [2])


@pytest.mark.parametrize("bias", [-200.0, -60.0, 60.0])
def test_measure_is_a_probability_for_any_f(bias: float) -> None:
    torch.manual_seed(0)
    pooling = Hierarchical(6, 4, LinearSoftmax, [2, 2])
    nn.init.constant_(pooling.classifier.bias, bias)
    h = torch.randn(50, 10, 6, requires_grad=True)
    found = pooling(h, torch.arange(10) < torch.randint(1, 11, (50, 1)))
    found.clip.sum().backward()
    torch.testing.assert_close(found.measure.sum(1), torch.ones(50, 4))
    assert found.clip.max() <= 1
    assert h.grad is not None
    assert h.grad.isfinite().all()


@pytest.mark.parametrize(
    ("measure", "lengths"), [(LinearSoftmax, []), (LinearSoftmax, [5]), (SigmoidAttention, []), (Max, [2, 2])]
)
def test_special_cases_are_pooled_in_one_stage(measure: type[Measure], lengths: list[int]) -> None:
    torch.manual_seed(0)
    a, b = Hierarchical(6, 4, measure, lengths), Expectation(6, 4, measure)
    b.load_state_dict(a.state_dict())
    h, mask = torch.randn(8, 5, 6), torch.arange(5) < torch.tensor([5, 1, 2, 3, 4, 5, 5, 5])[:, None]
    torch.testing.assert_close(a(h, mask).clip, b(h, mask).clip)
    torch.testing.assert_close(a(h, mask).measure, b(h, mask).measure)


def test_a_length_below_two_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lengths\[1\] must be a whole number of at least 2, got 1"):
        Hierarchical(2, 3, Max, [2, 1])
