from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from audiobag.augment import FrameDropout, FrameShuffle, GaussianNoise, LabelSmoothing, Mixup
from audiobag.bags import Bags
from audiobag.testing import AugmentSuite


def many(clips: int = 20_000, frames: int = 5) -> Bags:
    """Return equal bags, whose frame t holds the number t + 1, and half of which have the only class."""
    x = torch.arange(1.0, frames + 1)[None, :, None].repeat(clips, 1, 1)
    labels = torch.arange(clips)[:, None] % 2 == 0
    return Bags(x, torch.full((clips,), frames), labels, torch.arange(clips))


class TestMixup(AugmentSuite):
    augment = partial(Mixup, alpha=0.5)

    def test_equals_the_equation(self) -> None:
        """Each mixed bag is explained by one partner and one coefficient, in its frames, length and labels."""
        before, after = self.bags(), self.apply(self.bags())
        x, y, n = before.frames.double().numpy(), before.labels.double().numpy(), before.lengths.numpy()
        partners = []
        for i in range(len(before)):
            explained = []
            for j in range(len(before)):
                both = min(n[i], n[j])
                difference = (x[i] - x[j])[:both]
                mixed = after.frames[i].double().numpy()
                own = float(((mixed - x[j])[:both] * difference).sum() / max((difference**2).sum(), 1e-9))
                own = 1.0 if i == j else own
                expected = own * x[i] + (1 - own) * x[j]
                expected[both:] = (x[i] + x[j])[both:]  # one of the two is padding
                labels = own * y[i] + (1 - own) * y[j]
                if np.allclose(mixed, expected, atol=1e-3) and np.allclose(after.labels[i], labels, atol=1e-4):
                    explained.append((j, own))
            assert explained
            assert all(-1e-5 <= own <= 1 + 1e-5 for _, own in explained)
            assert int(after.lengths[i]) in {max(n[i], n[j]) for j, _ in explained}
            if len(explained) == 1:  # with a coefficient near 1, any partner of that length explains the bag
                partners.append(explained[0][0])
        assert len(partners) > len(before) / 2
        assert len(set(partners)) == len(partners)

    def test_coefficients_have_the_moments_of_their_distribution(self) -> None:
        bags = many()
        share = Mixup(0.5)(replace(bags, labels=torch.eye(2, dtype=torch.bool)[bags.index % 2])).labels
        mixed = share[(share > 0).all(1)][:, 0]
        assert mixed.mean().item() == pytest.approx(0.5, abs=0.01)
        assert mixed.var().item() == pytest.approx(1 / (4 * (2 * 0.5 + 1)), abs=0.005)


class TestUniformMixup(AugmentSuite):
    augment = partial(Mixup, alpha=1)  # a whole number, as from `augment.mixup.alpha=1`


class TestFrameDropout(AugmentSuite):
    augment = partial(FrameDropout, rate=0.5)

    def test_frames_that_are_kept_stay_in_their_order(self) -> None:
        after = self.apply(many())
        for bag, length in zip(after.frames[:200, :, 0], after.lengths[:200]):
            kept = bag[:length].tolist()
            assert kept == sorted(set(kept))

    def test_frames_are_removed_at_the_rate(self) -> None:
        """A bag that would lose all five frames keeps one."""
        after = FrameDropout(0.3)(many())
        assert after.lengths.double().mean().item() == pytest.approx(5 * 0.7 + 0.3**5, abs=0.02)
        counts = torch.bincount(after.frames.ravel().long(), minlength=6)[1:].double()
        assert (counts / counts.mean() - 1).abs().max() < 0.02

    def test_rate_zero_changes_nothing(self) -> None:
        bags = self.bags()
        after = FrameDropout(0.0)(bags)
        assert torch.equal(after.frames, bags.frames)
        assert torch.equal(after.lengths, bags.lengths)


class TestFrameShuffle(AugmentSuite):
    augment = FrameShuffle

    def test_every_frame_is_there_once_and_every_order_appears(self) -> None:
        after = FrameShuffle()(many(frames=3)).frames[..., 0]
        assert torch.equal(after.sort(1).values, many(frames=3).frames[..., 0])
        orders, counts = after.unique(dim=0, return_counts=True)
        assert len(orders) == 6
        assert (counts / counts.double().mean() - 1).abs().max() < 0.1


class TestGaussianNoise(AugmentSuite):
    augment = partial(GaussianNoise, std=0.5)

    def test_std_is_that_of_the_dequantised_frames(self) -> None:
        noise = GaussianNoise(std=0.5)
        noise.set_training_clips(self.clips())
        bags = many()
        added = (noise(bags).frames - bags.frames) / 128
        assert added.std().item() == pytest.approx(0.5, rel=0.02)
        assert added.mean().item() == pytest.approx(0, abs=0.01)


class TestLabelSmoothingTowardsAWholeNumber(AugmentSuite):
    augment = partial(LabelSmoothing, towards=0)


class TestLabelSmoothing(AugmentSuite):
    augment = LabelSmoothing

    @pytest.mark.parametrize("towards", [None, 0.5])
    def test_equals_the_equation(self, towards: float | None) -> None:
        smoothing = LabelSmoothing(0.2, towards)
        smoothing.set_training_clips(self.clips())
        target = self.clips().labels.dense().mean(0) if towards is None else towards
        expected = 0.8 * self.bags().labels.numpy() + 0.2 * target
        np.testing.assert_allclose(smoothing(self.bags()).labels.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (partial(Mixup, 0), r"alpha must be a number in \(0, inf\), got 0"),
        (partial(FrameDropout, 1), r"rate must be a number in \[0, 1\), got 1"),
        (partial(GaussianNoise, -1), "std must be"),
        (partial(LabelSmoothing, 1), "epsilon must be"),
        (partial(LabelSmoothing, 0.1, 2), "towards must be .* or null for the frequency of each class, got 2"),
    ],
)
def test_arguments_out_of_range_are_refused(make: partial[object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
