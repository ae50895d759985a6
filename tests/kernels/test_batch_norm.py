"""Masked batch normalisation against `torch.nn.BatchNorm1d` on the real frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiobag.kernels.batch_norm import MaskedBatchNorm

MASK = torch.arange(4) < torch.tensor([4, 1, 3])[:, None]


def pair(features: int = 5) -> tuple[MaskedBatchNorm, nn.BatchNorm1d]:
    torch.manual_seed(0)
    masked, reference = MaskedBatchNorm(features), nn.BatchNorm1d(features)
    nn.init.normal_(reference.weight)
    nn.init.normal_(reference.bias)
    masked.load_state_dict(reference.state_dict())
    return masked, reference


def frames(features: int = 5) -> Tensor:
    return 3 + 2 * torch.randn(3, 4, features, generator=torch.Generator().manual_seed(1))


def test_values_gradients_and_state_are_those_of_the_reference() -> None:
    masked, reference = pair()
    for _ in range(3):
        x = frames().requires_grad_()
        found, expected = masked(x, MASK)[MASK], reference(x[MASK])
        assert_close(found, expected)
        weight = torch.randn_like(found)
        inputs = [x, *masked.parameters()], [x, *reference.parameters()]
        gradients = [torch.autograd.grad((y * weight).sum(), of) for y, of in zip((found, expected), inputs)]
        assert_close(*gradients, atol=1e-5, rtol=1e-5)
        assert_close(masked.state_dict(), reference.state_dict())
    masked.eval(), reference.eval()
    assert_close(masked(frames(), MASK)[MASK], reference(frames()[MASK]))


def test_gradcheck() -> None:
    masked = pair()[0].double()
    inputs = [frames().double().requires_grad_()]
    assert torch.autograd.gradcheck(lambda x: masked(x, MASK), inputs)


def test_padding_changes_nothing_and_has_no_gradient() -> None:
    masked, _ = pair()
    expected = masked(frames(), MASK)[MASK]
    x = torch.where(MASK[..., None], frames(), 1e4).requires_grad_()
    found = masked(x, MASK)[MASK]
    assert_close(found, expected)
    found.square().sum().backward()
    assert not x.grad[~MASK].any()


def test_statistics_of_bf16_are_in_fp32() -> None:
    """A mean of a thousand bf16 numbers near 100 in bf16 would be wrong by more than the numbers differ."""
    masked = MaskedBatchNorm(3)
    x = (100 + torch.randn(100, 10, 3)).bfloat16()
    y = masked(x, torch.ones(100, 10, dtype=torch.bool))
    assert y.dtype == torch.bfloat16
    assert_close(masked.running_mean, 0.1 * x.float().mean((0, 1)))
    assert y.float().mean().abs() < 0.01


def test_a_single_real_frame_gives_finite_numbers() -> None:
    masked, _ = pair()
    y = masked(frames()[:1, :1], torch.ones(1, 1, dtype=torch.bool))
    assert y.isfinite().all()
    assert masked.running_var.isfinite().all()


def test_exports() -> None:
    masked = pair()[0].eval()
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(masked, (frames(), MASK), dynamic_shapes=(free, free))
    expected = masked(frames()[:2, :3], MASK[:2, :3])
    assert_close(program.module()(frames()[:2, :3], MASK[:2, :3]), expected)
