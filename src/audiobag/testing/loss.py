"""The test suite of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from audiobag.bags import BagPrediction
from audiobag.testing.inputs import LENGTHS, random_bags


class LossSuite:
    """Tests of a loss.

    Attributes:
        loss: called without arguments; a loss's class or a `functools.partial` of one.

    Examples:
        >>> from audiobag.loss import ClipBCE
        >>> class TestClipBCE(LossSuite):
        ...     loss = ClipBCE
    """

    loss: ClassVar[Callable[[], nn.Module]]

    def make(self) -> nn.Module:
        """Return the loss under test."""
        return type(self).loss()

    def oracle(
        self,
        clip: NDArray[np.float64],
        frame: NDArray[np.float64],
        labels: NDArray[np.bool_],
        lengths: NDArray[np.int64],
    ) -> float | None:
        """Return the expected loss; None skips the comparison.

        Args:
            clip: F [B, K].
            frame: f [B, T, K].
            labels: [B, K].
            lengths: number of real frames [B] of each bag.
        """
        return None

    def test_equals_the_oracle(self) -> None:
        prediction, labels, mask = _batch()
        clip, frame = (x.double().numpy() for x in (prediction.clip, prediction.frame))
        expected = self.oracle(clip, frame, labels.numpy(), LENGTHS.numpy())
        if expected is None:
            pytest.skip("no oracle")
        assert self.make()(prediction, labels, mask).item() == pytest.approx(expected, rel=1e-5)

    def test_mean_over_the_ranks_is_the_loss_of_the_whole_batch(self) -> None:
        """Ranks with equal numbers of clips; otherwise training would depend on the number of ranks."""
        prediction, labels, mask = _batch()
        parts = []
        for rows in (slice(0, 2), slice(2, 4)):
            share = BagPrediction(prediction.clip[rows], prediction.frame[rows], None)
            parts.append(self.make()(share, labels[rows], mask[rows]))
        assert_close((parts[0] + parts[1]) / 2, self.make()(prediction, labels, mask))

    def test_padding_changes_nothing(self) -> None:
        prediction, labels, mask = _batch()
        frame = torch.where(mask[..., None], prediction.frame, 1.0)
        other = BagPrediction(prediction.clip, frame, prediction.measure)
        assert_close(self.make()(other, labels, mask), self.make()(prediction, labels, mask))

    def test_labels_may_be_numbers(self) -> None:
        """Augmentations make them so: 0 and 1 mean the same as booleans, and numbers between have finite gradients."""
        prediction, labels, mask = _batch()
        loss = self.make()
        assert_close(loss(prediction, labels.float(), mask), loss(prediction, labels, mask))
        clip, frame = (x.requires_grad_() for x in (prediction.clip, prediction.frame))
        soft = 0.2 + 0.5 * labels.float()
        loss(BagPrediction(clip, frame, prediction.measure), soft, mask).backward()
        gradients = [x.grad for x in (clip, frame) if x.grad is not None]
        assert gradients
        assert all(x.isfinite().all() for x in gradients)

    def test_certain_and_wrong_predictions_have_a_finite_loss_in_fp32(self) -> None:
        """Probabilities of exactly 0 and 1, under bf16 autocast."""
        prediction, labels, mask = _batch()
        wrong = (~labels).float()
        certain = BagPrediction(wrong, wrong[:, None].expand_as(prediction.frame), prediction.measure)
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.make()(certain, labels, mask)
        assert loss.dtype == torch.float32
        assert loss.isfinite()

    def test_gradients_are_those_of_finite_differences(self) -> None:
        """Holds to the precision of the fp32 parts of a loss."""
        prediction, labels, mask = _batch()
        loss = self.make()

        def value(clip: Tensor, frame: Tensor) -> Tensor:
            result: Tensor = loss(BagPrediction(clip, frame, None), labels, mask)
            return result

        inputs = [x.double().requires_grad_() for x in (prediction.clip, prediction.frame)]
        assert gradcheck(value, inputs, eps=1e-3, atol=5e-4, rtol=1e-2)


def _batch() -> tuple[BagPrediction, Tensor, Tensor]:
    """Return a random prediction, labels [4, 3] and the mask [4, 5]."""
    logits, mask = random_bags(3)
    probability = 0.1 + 0.8 * logits.sigmoid()
    measure = mask[..., None] / LENGTHS[:, None, None]
    labels = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=torch.bool)
    return BagPrediction(probability.mean(1), probability, measure.expand_as(probability)), labels, mask
