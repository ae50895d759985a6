"""Measures beyond the paper."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from audiobag.pooling import (
    AutoPool,
    Average,
    Expectation,
    ExponentialSoftmax,
    LinearSoftmax,
    Max,
    Measure,
    Power,
    TimeSoftmaxAttention,
    TopK,
)
from audiobag.testing import PoolingSuite
from audiobag.testing.pooling import Arrays
from tests.oracles import pooling as oracle

Array = NDArray[np.float64]
Parameters = dict[str, Array]

ALL = [
    TimeSoftmaxAttention,
    LinearSoftmax,
    ExponentialSoftmax,
    AutoPool,
    partial(AutoPool, alpha=300.0),
    partial(AutoPool, alpha=-300.0),
    Power,
    partial(Power, n=50.0),
    TopK,
]


class OfAnExpectation(PoolingSuite):
    """The suite, with the weights of a bag as the oracle."""

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        raise NotImplementedError

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> Arrays:
        W, b = parameters["classifier.weight"], parameters["classifier.bias"]
        return oracle.expectation(h, lengths, W, b, lambda h, f: self.weights(h, f, parameters))


class TestTimeSoftmaxAttention(OfAnExpectation):
    measure = TimeSoftmaxAttention

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        return np.exp(h @ parameters["measure.linear.weight"].T)


class TestLinearSoftmax(OfAnExpectation):
    measure = LinearSoftmax

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        return f


class TestExponentialSoftmax(OfAnExpectation):
    measure = ExponentialSoftmax

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        return np.exp(f)


class TestAutoPool(OfAnExpectation):
    measure = partial(AutoPool, alpha=2.0)

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        return np.exp(parameters["measure.alpha"] * f)


class TestPower(OfAnExpectation):
    measure = partial(Power, n=1.5)

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        return f ** parameters["measure.n"]


class TestTopK(OfAnExpectation):
    measure = partial(TopK, k=2)

    def weights(self, h: Array, f: Array, parameters: Parameters) -> Array:
        return oracle.top_k(f, 2)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("bias", [-200.0, -60.0, 0.0, 60.0])
def test_measure_is_a_probability_for_any_f(measure: type[Measure], bias: float) -> None:
    """Holds where f is 0 on all frames, tiny, or 1, and gradients stay finite."""
    torch.manual_seed(0)
    pooling = Expectation(6, 4, measure)
    nn.init.constant_(pooling.classifier.bias, bias)
    h = torch.randn(50, 10, 6, requires_grad=True)
    mask = torch.arange(10) < torch.randint(1, 11, (50, 1))
    found = pooling(h, mask)
    found.clip.sum().backward()
    assert found.measure is not None
    torch.testing.assert_close(found.measure.sum(1), torch.ones(50, 4))
    assert found.clip.max() <= 1
    assert h.grad is not None
    assert all(x.grad is None or x.grad.isfinite().all() for x in (h, *pooling.parameters()))


@pytest.mark.parametrize(
    ("special", "known"),
    [
        (partial(AutoPool, alpha=0.0), Average),
        (partial(AutoPool, alpha=1.0), ExponentialSoftmax),
        (partial(Power, n=0.0), Average),
        (partial(Power, n=1.0), LinearSoftmax),
        (partial(TopK, k=1), Max),
        (partial(TopK, k=5), Average),
    ],
)
def test_special_cases(special: type[Measure], known: type[Measure]) -> None:
    torch.manual_seed(0)
    a, b = Expectation(6, 4, special), Expectation(6, 4, known)
    b.load_state_dict(a.state_dict(), strict=False)
    h, mask = torch.randn(8, 5, 6), torch.arange(5) < torch.tensor([5, 1, 2, 3, 4, 5, 5, 5])[:, None]
    torch.testing.assert_close(a(h, mask).clip, b(h, mask).clip)
    torch.testing.assert_close(a(h, mask).measure, b(h, mask).measure)


def test_gradient_of_linear_softmax_changes_its_sign_at_half_the_mean() -> None:
    """The derivative of sum f^2 / sum f is (2 f - F) / sum f."""
    pooling = Expectation(3, 3, LinearSoftmax)
    nn.init.eye_(pooling.classifier.weight)
    h = torch.randn(2, 6, 3, requires_grad=True)
    found = pooling(h, torch.ones(2, 6, dtype=torch.bool))
    found.clip.sum().backward()
    f = found.frame.detach()
    expected = (2 * f - found.clip.detach()[:, None]) / f.sum(1, keepdim=True) * f * (1 - f)
    torch.testing.assert_close(h.grad, expected)


def test_top_k_takes_the_first_of_equal_frames_and_all_of_a_short_bag() -> None:
    found = Expectation(2, 1, partial(TopK, k=2))(torch.zeros(2, 4, 2), torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]) > 0)
    assert found.measure is not None
    assert found.measure[..., 0].tolist() == [[0.5, 0.5, 0, 0], [1, 0, 0, 0]]


def test_exponents_of_classes_are_learned_or_fixed() -> None:
    assert Power(2, 3).n.requires_grad
    assert not Power(2, 3, n=2.0, learned=False).n.requires_grad


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (partial(TopK, k=0), "k must be a whole number of at least 1, got 0"),
        (partial(Power, n=-1.0), "n must be a number in"),
        (partial(AutoPool, alpha=float("inf")), "alpha must be a number in"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: type[Measure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(2, 3)
