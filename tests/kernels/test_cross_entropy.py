"""The fast cross-entropy against torch's own and against scikit-learn's log loss."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn.functional import binary_cross_entropy

from audiobag.kernels.cross_entropy import cross_entropy

LABELS = torch.tensor([[True, False, True, False], [False, False, True, False]])
PROBABILITIES = {
    "random": torch.rand(2, 4, generator=torch.Generator().manual_seed(0)),
    "certain": torch.tensor([[0.0, 1.0, 1.0, 0.0], [1e-7, 1 - 1e-7, 0.5, 0.3]]),
}


@pytest.mark.parametrize("probability", PROBABILITIES.values(), ids=PROBABILITIES)
def test_values_and_gradients_are_those_of_torch(probability: torch.Tensor) -> None:
    ours, theirs = (probability.clone().requires_grad_() for _ in range(2))
    found = cross_entropy(ours, LABELS)
    expected = binary_cross_entropy(theirs, LABELS.float(), reduction="none")
    torch.testing.assert_close(found, expected)
    found.mean().backward()
    expected.mean().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_mean_is_the_log_loss() -> None:
    p = PROBABILITIES["random"]
    expected = log_loss(LABELS.numpy().ravel(), p.double().numpy().ravel())
    assert cross_entropy(p, LABELS).mean().item() == pytest.approx(expected, rel=1e-6)


def test_is_in_fp32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy(PROBABILITIES["random"].bfloat16(), LABELS)
    assert found.dtype == torch.float32
