from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audiobag.pooling import Average, Expectation, Max, ReLUAttention, SigmoidAttention, SoftmaxAttention
from tests.oracles import pooling as oracle

MEASURES = {
    "average": Average,
    "max": Max,
    "relu": ReLUAttention,
    "sigmoid": SigmoidAttention,
    "softmax": SoftmaxAttention,
}
LENGTHS = torch.tensor([5, 1, 3, 2])


@pytest.fixture(params=MEASURES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pooling(name: str) -> Expectation:
    torch.manual_seed(1)
    return Expectation(6, 4, MEASURES[name]).eval()


@pytest.fixture
def h() -> Tensor:
    torch.manual_seed(2)
    return 2 * torch.randn(4, 5, 6)


def mask(lengths: Tensor, longest: int) -> Tensor:
    return torch.arange(longest) < lengths[:, None]


def test_equals_the_equations(name: str, pooling: Expectation, h: Tensor) -> None:
    w = {k: v.detach().double().numpy() for k, v in pooling.state_dict().items()}
    expected = oracle.pool(
        name,
        h.double().numpy(),
        LENGTHS.numpy(),
        w["classifier.weight"],
        w["classifier.bias"],
        w.get("measure.linear.weight"),
        w.get("measure.linear.bias"),
    )
    found = pooling(h, mask(LENGTHS, 5))
    for got, want in zip((found.clip, found.frame, found.measure), expected):
        torch.testing.assert_close(got.detach().double(), torch.from_numpy(want), atol=1e-6, rtol=1e-5)


def test_measure_is_a_probability_on_real_frames_and_zero_on_padding(pooling: Expectation, h: Tensor) -> None:
    p = pooling(h, mask(LENGTHS, 5)).measure
    assert (p >= 0).all()
    torch.testing.assert_close(p.sum(1), torch.ones(4, 4))
    assert torch.equal(p[~mask(LENGTHS, 5)], torch.zeros(9, 4))


def test_permuting_frames_permutes_the_measure_and_changes_nothing_else(pooling: Expectation, h: Tensor) -> None:
    order = torch.tensor([3, 0, 4, 2, 1])
    everything = mask(torch.full((4,), 5), 5)
    before, after = pooling(h, everything), pooling(h[:, order], everything)
    torch.testing.assert_close(after.clip, before.clip)
    torch.testing.assert_close(after.measure, before.measure[:, order])


def test_padding_changes_nothing(pooling: Expectation, h: Tensor) -> None:
    before = pooling(h, mask(LENGTHS, 5))
    padded = torch.cat([torch.where(mask(LENGTHS, 5)[..., None], h, 50.0), torch.full((4, 3, 6), -9.0)], 1)
    after = pooling(padded, mask(LENGTHS, 8))
    torch.testing.assert_close(after.clip, before.clip)


def test_a_bag_of_one_frame_is_its_frame(pooling: Expectation, h: Tensor) -> None:
    found = pooling(h[:, :1], mask(torch.ones(4, dtype=torch.int64), 1))
    torch.testing.assert_close(found.clip, found.frame[:, 0])


def test_gradients_reach_every_parameter_and_no_padding(name: str, pooling: Expectation, h: Tensor) -> None:
    h = h.requires_grad_()
    pooling(h, mask(LENGTHS, 5)).clip.sum().backward()
    assert torch.equal(h.grad[~mask(LENGTHS, 5)], torch.zeros(9, 6))  # type: ignore[index]
    for parameter in pooling.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name


def test_probabilities_are_fp32_under_bf16(pooling: Expectation, h: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = pooling(h, mask(LENGTHS, 5))
    assert {found.clip.dtype, found.frame.dtype, found.measure.dtype} == {torch.float32}
    torch.testing.assert_close(found.clip, pooling(h, mask(LENGTHS, 5)).clip, atol=0.03, rtol=0.0)


def test_max_takes_the_first_of_several_largest() -> None:
    pooling = Expectation(2, 3, Max)
    found = pooling(torch.zeros(1, 4, 2), mask(torch.tensor([3]), 4))
    assert found.measure[0].tolist() == [[1.0] * 3] + [[0.0] * 3] * 3


def test_attention_softmax_runs_over_the_classes() -> None:
    measure = SoftmaxAttention(2, 3)
    nn.init.constant_(measure.linear.bias, 0.0)
    v = measure(torch.randn(1, 4, 2), torch.zeros(1, 4, 3), torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(v.sum(2), torch.ones(1, 4))


def test_certainty_stays_a_probability(name: str) -> None:
    torch.manual_seed(0)
    pooling = Expectation(6, 40, MEASURES[name])
    nn.init.constant_(pooling.classifier.bias, 60.0)  # f = 1 everywhere; the measure's sum rounds up here and there
    found = pooling(torch.randn(50, 10, 6), torch.ones(50, 10, dtype=torch.bool))
    assert found.clip.max() <= 1
    assert found.clip.min() > 1 - 1e-6
