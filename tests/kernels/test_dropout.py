from __future__ import annotations

import pytest
import torch

from audiobag.kernels.dropout import Dropout, ReLUDropout


@pytest.mark.parametrize("rate", [0.2, 0.5, 2**-16, 0.9])
def test_drops_at_its_rate_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    n = 1_000_003  # not a multiple of the four elements that one draw decides on
    y = Dropout(rate)(torch.ones(n))
    dropped = int((y == 0).sum())
    deviation = (n * rate * (1 - rate)) ** 0.5
    assert abs(dropped - n * rate) < 4 * deviation
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - rate)), rtol=1e-4)


def test_elements_are_dropped_independently() -> None:
    """Elements at small distances, such as the four of one draw, are uncorrelated."""
    torch.manual_seed(0)
    dropped = Dropout(0.5)(torch.ones(1000, 1000)) == 0
    flat = dropped.flatten().float() - 0.5
    for distance in (1, 2, 3, 4, 1000):
        assert abs(float((flat[distance:] * flat[:-distance]).mean())) < 0.25 * 4e-3


def test_gradient_passes_where_an_element_is_kept() -> None:
    x = torch.full((50, 7), 3.0, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert torch.allclose(x.grad, y / 3)  # type: ignore[arg-type]


def test_a_seed_fixes_the_draw_and_evaluation_is_the_identity() -> None:
    dropout, x = Dropout(0.2), torch.rand(9, 4)
    torch.manual_seed(1)
    first = dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(dropout(x), first)
    assert dropout.eval()(x) is x


def test_takes_bf16_and_refuses_a_rate_of_one() -> None:
    assert Dropout(0.5)(torch.ones(64, dtype=torch.bfloat16)).dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"^rate must be a number in \[0, 1\), got 1"):
        Dropout(1)


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_equals_the_equation_with_the_mask_of_the_same_seed(rate: float) -> None:
    dropout, x = Dropout(rate), torch.randn(30, 7)
    torch.manual_seed(1)
    kept = dropout(torch.ones_like(x)) != 0
    torch.manual_seed(1)
    torch.testing.assert_close(dropout(x), x * kept / (1 - rate), rtol=1e-4, atol=0)


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
def test_relu_dropout_is_a_relu_followed_by_dropout(dtype: torch.dtype) -> None:
    x = torch.randn(40, 9).to(dtype)
    torch.manual_seed(1)
    expected = Dropout(0.3)(torch.relu(x))
    torch.manual_seed(1)
    found = ReLUDropout(0.3)(x)
    assert torch.equal(found, expected)
    assert torch.equal(ReLUDropout(0.3).eval()(x), torch.relu(x))


def test_the_draw_of_a_seed_is_that_of_the_first_release() -> None:
    """A change of the draw would change the results of every seed."""
    torch.manual_seed(7)
    kept = Dropout(0.5)(torch.ones(16)) != 0
    assert "".join(map(str, kept.int().tolist())) == "0101110000011110"
