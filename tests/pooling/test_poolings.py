from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from audiobag.pooling import Average, Expectation, Max, Measure, ReLUAttention, SigmoidAttention, SoftmaxAttention
from audiobag.testing import PoolingSuite
from audiobag.testing.pooling import Arrays
from tests.oracles import pooling as oracle


class OfThePaper(PoolingSuite):
    """The suite, with the equations of the paper as the oracle."""

    name: str

    def oracle(
        self, h: NDArray[np.float64], lengths: NDArray[np.int64], parameters: dict[str, NDArray[np.float64]]
    ) -> Arrays:
        names = ("classifier.weight", "classifier.bias", "measure.linear.weight", "measure.linear.bias")
        return oracle.pool(self.name, h, lengths, *(parameters[n] for n in names if n in parameters))


class TestAverage(OfThePaper):
    name, measure = "average", Average


class TestMax(OfThePaper):
    name, measure = "max", Max


class TestReLUAttention(OfThePaper):
    name, measure = "relu", ReLUAttention


class TestSigmoidAttention(OfThePaper):
    name, measure = "sigmoid", SigmoidAttention


class TestSoftmaxAttention(OfThePaper):
    name, measure = "softmax", SoftmaxAttention


def test_max_takes_the_first_of_several_largest() -> None:
    pooling = Expectation(2, 3, Max)
    found = pooling(torch.zeros(1, 4, 2), torch.tensor([[True, True, True, False]]))
    assert found.measure[0].tolist() == [[1.0] * 3] + [[0.0] * 3] * 3


def test_attention_softmax_runs_over_the_classes() -> None:
    measure = SoftmaxAttention(2, 3)
    nn.init.constant_(measure.linear.bias, 0.0)
    v = measure(torch.randn(1, 4, 2), torch.zeros(1, 4, 3), torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(v.sum(2), torch.ones(1, 4))


@pytest.mark.parametrize("measure", [Average, Max, ReLUAttention, SigmoidAttention, SoftmaxAttention])
def test_mean_of_ones_does_not_round_above_one(measure: type[Measure]) -> None:
    torch.manual_seed(0)
    pooling = Expectation(6, 40, measure)
    nn.init.constant_(pooling.classifier.bias, 60.0)  # f is 1 everywhere
    found = pooling(torch.randn(50, 10, 6), torch.ones(50, 10, dtype=torch.bool))
    assert found.clip.max() <= 1
    assert found.clip.min() > 1 - 1e-6
