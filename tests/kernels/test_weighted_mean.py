"""The weighted mean and its gradients against the plain reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from audiobag.kernels.weighted_mean import weighted_mean, weighted_mean_reference

LENGTHS = torch.tensor([4, 1, 3])
MASK = torch.arange(4) < LENGTHS[:, None]


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    shape = (3, 4, 5)
    return (
        torch.rand(shape, dtype=torch.float64, requires_grad=True),
        (torch.rand(shape, dtype=torch.float64) + 0.1).requires_grad_(),
    )


def test_gradcheck(inputs: tuple[Tensor, Tensor]) -> None:
    assert torch.autograd.gradcheck(lambda f, v: weighted_mean(f, v, MASK)[0], inputs)


def test_values_and_gradients_are_those_of_the_reference(inputs: tuple[Tensor, Tensor]) -> None:
    weight = torch.randn(3, 5, dtype=torch.float64)
    (expected, p), (found, q) = weighted_mean_reference(*inputs, MASK), weighted_mean(*inputs, MASK)
    torch.testing.assert_close((found, q), (expected, p.detach()))
    gradients = (torch.autograd.grad((mean * weight).sum(), inputs) for mean in (found, expected))
    torch.testing.assert_close(*gradients)


def test_reference_is_the_mean_of_the_real_frames(inputs: tuple[Tensor, Tensor]) -> None:
    f, v = (x.detach() for x in inputs)
    mean, p = weighted_mean_reference(f, v, MASK)
    for b, length in enumerate(LENGTHS):
        expected = v[b, :length] / v[b, :length].sum(0)
        torch.testing.assert_close(p[b, :length], expected)
        torch.testing.assert_close(mean[b], (expected * f[b, :length]).sum(0))


def test_with_and_without_gradients_are_the_same(inputs: tuple[Tensor, Tensor]) -> None:
    with_gradients = weighted_mean(*inputs, MASK)
    with torch.no_grad():
        without = weighted_mean(*inputs, MASK)
    assert all(torch.equal(a, b) for a, b in zip(with_gradients, without))
    assert not with_gradients[1].requires_grad


def test_one_column_of_weights_serves_all_classes(inputs: tuple[Tensor, Tensor]) -> None:
    f, v = inputs[0], inputs[1].detach()[..., :1]
    mean, p = weighted_mean(f, v, MASK)
    torch.testing.assert_close(mean, weighted_mean_reference(f, v.expand_as(f), MASK)[0])
    assert p.shape == f.shape
    (gradient,) = torch.autograd.grad(mean.sum(), f)
    torch.testing.assert_close(gradient, p)


def test_keeps_two_large_tensors_for_the_backward_pass() -> None:
    """They are f, which its sigmoid keeps too, and p; the reference keeps more."""

    def kept(function: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> int:
        f, v = (torch.rand(8, 10, 50, requires_grad=True) for _ in range(2))
        storages = {}

        def pack(x: Tensor) -> Tensor:
            if x.numel() == f.numel():
                storages[x.untyped_storage().data_ptr()] = x
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            function(torch.sigmoid(f), torch.sigmoid(v), torch.ones(8, 10, dtype=torch.bool))
        return len(storages)

    assert kept(weighted_mean) == 3  # the third is the sigmoid of v, which the sigmoid keeps
    assert kept(weighted_mean_reference) > 3
