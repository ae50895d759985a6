from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from audiobag.bags import BagPrediction
from audiobag.loss import ClipBCE, FrameBCE
from audiobag.testing import LossSuite
from tests.oracles import loss as oracle

Array = NDArray[np.float64]


class TestClipBCE(LossSuite):
    loss = ClipBCE

    def oracle(self, clip: Array, frame: Array, labels: oracle.Labels, lengths: NDArray[np.int64]) -> float:
        return oracle.clip_bce(clip, labels)


class TestFrameBCE(LossSuite):
    loss = FrameBCE

    def oracle(self, clip: Array, frame: Array, labels: oracle.Labels, lengths: NDArray[np.int64]) -> float:
        return oracle.frame_bce(frame, labels, lengths)


def test_a_certain_and_wrong_clip_costs_100() -> None:
    wrong = BagPrediction(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 1, 2), torch.ones(1, 1, 2))
    loss = ClipBCE()(wrong, torch.tensor([[True, False]]), torch.ones(1, 1, dtype=torch.bool))
    assert loss.item() == 100.0
