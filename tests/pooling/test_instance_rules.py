"""Poolings of instances that are not expectations under a measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from audiobag.pooling import Additive, Conjunctive, LogSumExp, NoisyOr
from audiobag.testing import PoolingSuite
from audiobag.testing.pooling import Arrays
from tests.oracles import pooling as oracle

Array = NDArray[np.float64]
Parameters = dict[str, Array]


class TestNoisyOr(PoolingSuite):
    has_measure = False
    frame_is_bag = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        return NoisyOr(in_features, classes)

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> Arrays:
        return oracle.noisy_or(h, lengths, parameters["classifier.weight"], parameters["classifier.bias"])


class TestLogSumExp(PoolingSuite):
    expectation = False
    frame_is_bag = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        return LogSumExp(in_features, classes, r=4.0)

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> Arrays:
        return oracle.log_sum_exp(h, lengths, parameters["classifier.weight"], parameters["classifier.bias"], 4.0)


class TestAdditive(PoolingSuite):
    expectation = False
    frame_is_bag = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        pooling = Additive(in_features, classes, width=3)
        nn.init.normal_(pooling.classifier.bias)
        return pooling

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> Arrays:
        return oracle.millet(h, lengths, parameters, before=True)


class TestConjunctive(PoolingSuite):
    expectation = False
    frame_is_bag = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        pooling = Conjunctive(in_features, classes, width=3)
        nn.init.normal_(pooling.classifier.bias)
        return pooling

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> Arrays:
        return oracle.millet(h, lengths, parameters, before=False)


def at(pooling: nn.Module, *logits: float) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Return F, p and the gradient of the logits of a bag whose frames have the given logits."""
    nn.init.ones_(pooling.classifier.weight)
    h = torch.tensor(logits)[None, :, None].requires_grad_()
    found = pooling(h, torch.ones(1, len(logits), dtype=torch.bool))
    found.clip.sum().backward()
    assert h.grad is not None
    return found.clip[0, 0], found.measure, h.grad


@pytest.mark.parametrize("r", [None, 1e-3, 5.0, 1000.0])
@pytest.mark.parametrize("logits", [(-40.0, -41.0), (-9.0, -12.0, -10.0), (0.0, 0.1), (20.0, -90.0), (90.0, 90.0)])
def test_small_and_large_probabilities_keep_their_precision(r: float | None, logits: tuple[float, ...]) -> None:
    """Holds for noisy-or (r is None) and for log-sum-exp; the oracle has more digits than float64."""
    f = 1 / (1 + np.exp(-np.array(logits, np.longdouble)))
    if r is None:
        found, _, gradient = at(NoisyOr(1, 1), *logits)
        expected = -np.expm1(np.log1p(-f[f < 1]).sum()) if (f < 1).all() else 1.0
    else:
        found, _, gradient = at(LogSumExp(1, 1, r=r), *logits)
        top = f.max()
        expected = top + np.log1p(np.expm1(r * (f - top)).mean()) / r
    assert found.item() == pytest.approx(float(expected), rel=1e-5)
    assert gradient.isfinite().all()


def test_noisy_or_grows_with_the_number_of_frames() -> None:
    clip = [at(NoisyOr(1, 1), *[-2.0] * T)[0].item() for T in range(1, 8)]
    assert clip == sorted(set(clip))


def test_log_sum_exp_lies_between_average_and_max() -> None:
    logits = (-1.0, 0.5, 2.0)
    f = torch.tensor(logits).sigmoid()
    assert at(LogSumExp(1, 1, r=1e-3), *logits)[0].item() == pytest.approx(f.mean().item(), abs=1e-3)
    assert at(LogSumExp(1, 1, r=1e4), *logits)[0].item() == pytest.approx(f.max().item(), abs=1e-3)


def test_measure_of_log_sum_exp_is_its_derivative() -> None:
    logits = (-1.0, 0.5, 2.0)
    f = torch.tensor(logits).sigmoid()
    _, p, gradient = at(LogSumExp(1, 1, r=5.0), *logits)
    assert p is not None
    torch.testing.assert_close(p[0, :, 0], gradient[0, :, 0] / (f * (1 - f)))


def test_additive_and_conjunctive_differ_only_in_the_bias() -> None:
    torch.manual_seed(0)
    additive, conjunctive = Additive(6, 4), Conjunctive(6, 4)
    conjunctive.load_state_dict(additive.state_dict())
    h, mask = torch.randn(8, 5, 6), torch.ones(8, 5, dtype=torch.bool)
    torch.testing.assert_close(additive(h, mask).clip, conjunctive(h, mask).clip)
    for pooling in (additive, conjunctive):
        nn.init.ones_(pooling.classifier.bias)
    assert (additive(h, mask).clip > conjunctive(h, mask).clip).all()


@pytest.mark.parametrize("pooling", [Additive, Conjunctive])
def test_attention_that_underflows_leaves_a_measure(pooling: type[Additive] | type[Conjunctive]) -> None:
    module = pooling(2, 3)
    nn.init.constant_(module.attention[2].bias, -1000.0)
    found = module(torch.randn(1, 4, 2), torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(found.measure, torch.full((1, 4, 3), 0.25))


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"r must be a number in \(0, inf\), got 0"):
        LogSumExp(2, 3, r=0)
    with pytest.raises(ValueError, match="width must be a whole number of at least 1, got 0"):
        Conjunctive(2, 3, width=0)
