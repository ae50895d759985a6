"""The weighted mean and its gradients against autograd's own way over the plain formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiobag.pooling.mean import weighted_mean

LENGTHS = torch.tensor([4, 1, 3])
MASK = torch.arange(4) < LENGTHS[:, None]


def plain(f: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    v = torch.where(mask[..., None], v, 0.0)
    return (v / v.sum(1, keepdim=True) * f).sum(1)


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


def test_gradients_are_those_of_the_plain_formula(inputs: tuple[Tensor, Tensor]) -> None:
    weight = torch.randn(3, 5, dtype=torch.float64)
    expected = torch.autograd.grad((plain(*inputs, MASK) * weight).sum(), inputs)
    found = torch.autograd.grad((weighted_mean(*inputs, MASK)[0] * weight).sum(), inputs)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b)


def test_with_and_without_gradients_are_the_same(inputs: tuple[Tensor, Tensor]) -> None:
    with_gradients = weighted_mean(*inputs, MASK)
    with torch.no_grad():
        without = weighted_mean(*inputs, MASK)
    assert all(torch.equal(a, b) for a, b in zip(with_gradients, without))
    assert not with_gradients[1].requires_grad


def test_one_column_of_weights_serves_all_classes(inputs: tuple[Tensor, Tensor]) -> None:
    f, v = inputs[0], inputs[1].detach()[..., :1]
    mean, p = weighted_mean(f, v, MASK)
    torch.testing.assert_close(mean, plain(f, v.expand_as(f), MASK))
    assert p.shape == f.shape
    (gradient,) = torch.autograd.grad(mean.sum(), f)
    torch.testing.assert_close(gradient, p)


def test_keeps_two_large_tensors_for_the_backward_pass() -> None:
    """f, which its sigmoid keeps too, and p; the plain formula keeps more."""

    def kept(function: object) -> int:
        f, v = (torch.rand(8, 10, 50, requires_grad=True) for _ in range(2))
        storages = {}

        def pack(x: Tensor) -> Tensor:
            if x.numel() == f.numel():
                storages[x.untyped_storage().data_ptr()] = x
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            function(torch.sigmoid(f), torch.sigmoid(v), torch.ones(8, 10, dtype=torch.bool))  # type: ignore[operator]
        return len(storages)

    assert kept(weighted_mean) == 3  # the sigmoid of v is kept by itself
    assert kept(plain) > 3
