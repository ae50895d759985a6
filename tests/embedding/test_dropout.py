from __future__ import annotations

import pytest
import torch

from audiobag.embedding.dropout import Dropout, ReLUDropout
from audiobag.errors import UserError


@pytest.mark.parametrize("rate", [0.2, 0.5, 2**-16, 0.9])
def test_drops_at_its_rate_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    n = 1_000_003  # no multiple of the four numbers that a draw decides on
    y = Dropout(rate)(torch.ones(n))
    dropped = int((y == 0).sum())
    deviation = (n * rate * (1 - rate)) ** 0.5
    assert abs(dropped - n * rate) < 4 * deviation
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - rate)), rtol=1e-4)


def test_each_number_is_dropped_for_itself() -> None:
    """All pairs at small distances, such as those of one draw, are dropped together as often as chance has it."""
    torch.manual_seed(0)
    dropped = Dropout(0.5)(torch.ones(1000, 1000)) == 0
    flat = dropped.flatten().float() - 0.5
    for distance in (1, 2, 3, 4, 1000):
        assert abs(float((flat[distance:] * flat[:-distance]).mean())) < 0.25 * 4e-3


def test_gradient_passes_where_kept() -> None:
    x = torch.full((50, 7), 3.0, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert torch.allclose(x.grad, y / 3)  # type: ignore[arg-type]


def test_same_seed_same_draw_and_evaluation_is_the_identity() -> None:
    dropout, x = Dropout(0.2), torch.rand(9, 4)
    torch.manual_seed(1)
    first = dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(dropout(x), first)
    assert dropout.eval()(x) is x


def test_takes_bf16_and_refuses_a_rate_of_one() -> None:
    assert Dropout(0.5)(torch.ones(64, dtype=torch.bfloat16)).dtype == torch.bfloat16
    with pytest.raises(UserError, match=r"dropout=1; expected a number in \[0, 1\)"):
        Dropout(1)


@pytest.mark.parametrize("kind", [Dropout, ReLUDropout])
def test_gradcheck(kind: type[Dropout]) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    dropout = kind(0.4)

    def same_draw(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return dropout(x)

    assert torch.autograd.gradcheck(same_draw, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_behind_a_relu_is_the_same_dropout(dtype: torch.dtype) -> None:
    x = torch.randn(40, 9).to(dtype)
    torch.manual_seed(1)
    expected = Dropout(0.3)(torch.relu(x))
    torch.manual_seed(1)
    found = ReLUDropout(0.3)(x)
    assert torch.equal(found, expected)
    assert torch.equal(ReLUDropout(0.3).eval()(x), torch.relu(x))


def test_the_draw_is_what_it_was() -> None:
    """A seed keeps meaning the same run: what was dropped under it in the first release is dropped for ever."""
    torch.manual_seed(7)
    kept = Dropout(0.5)(torch.ones(16)) != 0
    assert "".join(map(str, kept.int().tolist())) == "0101110000011110"
