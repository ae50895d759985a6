from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from audiobag.bags import BagPrediction
from audiobag.loss import ClipBCE, FrameBCE

LENGTHS = torch.tensor([3, 1])
MASK = torch.arange(3) < LENGTHS[:, None]
LABELS = torch.tensor([[True, False, True, False], [False, False, True, False]])


@pytest.fixture
def prediction() -> BagPrediction:
    torch.manual_seed(0)
    return BagPrediction(torch.rand(2, 4), torch.rand(2, 3, 4), torch.rand(2, 3, 4))


def test_clip_loss_is_the_log_loss(prediction: BagPrediction) -> None:
    expected = log_loss(LABELS.numpy().ravel(), prediction.clip.numpy().ravel().astype(np.float64))
    assert ClipBCE()(prediction, LABELS, MASK).item() == pytest.approx(expected, rel=1e-6)


def test_frame_loss_gives_each_real_frame_its_bags_labels(prediction: BagPrediction) -> None:
    def frame(b: int, t: int) -> float:
        return log_loss(LABELS[b].numpy(), prediction.frame[b, t].numpy().astype(np.float64), labels=[False, True])

    expected = (np.mean([frame(0, t) for t in range(3)]) + frame(1, 0)) / 2
    assert FrameBCE()(prediction, LABELS, MASK).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [ClipBCE(), FrameBCE()])
def test_a_batch_split_among_ranks_has_the_loss_of_the_whole(loss: torch.nn.Module, prediction: BagPrediction) -> None:
    def part(rows: slice) -> float:
        share = BagPrediction(prediction.clip[rows], prediction.frame[rows], prediction.measure[rows])
        return float(loss(share, LABELS[rows], MASK[rows]))

    assert (part(slice(0, 1)) + part(slice(1, 2))) / 2 == pytest.approx(part(slice(0, 2)), rel=1e-6)


def test_certain_and_wrong_is_finite_and_fp32_under_autocast() -> None:
    wrong = BagPrediction(torch.tensor([[0.0, 1.0]]).bfloat16().float(), torch.zeros(1, 1, 2), torch.ones(1, 1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        loss = ClipBCE()(wrong, torch.tensor([[True, False]]), torch.ones(1, 1, dtype=torch.bool))
    assert loss.dtype == torch.float32
    assert loss.item() == 100.0


def test_gradient_is_torchs_own(prediction: BagPrediction) -> None:
    certain = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1e-7, 1 - 1e-7, 0.5, 0.3]])
    for probability in (prediction.clip, certain):
        ours, theirs = (probability.clone().requires_grad_() for _ in range(2))
        ClipBCE()(BagPrediction(ours, prediction.frame, prediction.measure), LABELS, MASK).backward()
        torch.nn.functional.binary_cross_entropy(theirs, LABELS.float()).backward()
        torch.testing.assert_close(ours.grad, theirs.grad)
