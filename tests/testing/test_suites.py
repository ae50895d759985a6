"""A suite fails for a component that breaks a rule, and passes for the pooling of the documentation."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import MeanMetric

from audiobag.augment import Augmentation
from audiobag.bags import BagPrediction, Bags
from audiobag.metrics import tagging_scores
from audiobag.pooling import Measure
from audiobag.sampler import Sampler
from audiobag.testing import AugmentSuite, EmbeddingSuite, LossSuite, MetricSuite, PoolingSuite, SamplerSuite

PAGE = Path(__file__).parents[2] / "docs" / "own-pooling.md"


class CountsPadding(Measure):
    """Averages over padding too, so that more padding changes the weights."""

    def forward(self, h: Tensor, f: Tensor, mask: Tensor) -> Tensor:
        return torch.softmax(f, 1) + h.mean((1, 2), keepdim=True).abs()


class TrustsTheStart(Measure):
    def forward(self, h: Tensor, f: Tensor, mask: Tensor) -> Tensor:
        return torch.arange(mask.shape[1], 0, -1.0)[:, None].expand(len(mask), -1, 1)


def test_pooling_that_counts_padding_fails() -> None:
    class Suite(PoolingSuite):
        measure = CountsPadding

    with pytest.raises(AssertionError):
        Suite().test_padding_changes_nothing()
    with pytest.raises(AssertionError):
        Suite().test_gradients_reach_every_parameter_and_no_padding()


def test_pooling_in_which_the_order_matters_fails_unless_it_says_so() -> None:
    class Suite(PoolingSuite):
        measure = TrustsTheStart

    with pytest.raises(AssertionError):
        Suite().test_permuting_frames_permutes_the_measure_and_keeps_the_clip()
    Suite.order_matters = True
    with pytest.raises(pytest.skip.Exception):
        Suite().test_permuting_frames_permutes_the_measure_and_keeps_the_clip()


def test_pooling_that_is_not_its_oracle_fails() -> None:
    class Suite(PoolingSuite):
        measure = TrustsTheStart

        def oracle(self, h: object, lengths: object, parameters: object) -> tuple[NDArray[np.float64], ...]:
            return np.zeros((4, 4)), np.zeros((4, 5, 4)), np.zeros((4, 5, 4))

    with pytest.raises(AssertionError):
        Suite().test_equals_the_oracle()


class LargestFrame(nn.Module):
    """The largest output of any class, which is neither a bag of one frame nor a prediction with a measure."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(in_features, classes)

    def forward(self, h: Tensor, mask: Tensor) -> BagPrediction:
        f = self.classifier(h).sigmoid()
        return BagPrediction(
            clip=(f * mask[..., None]).amax((1, 2), keepdim=True)[:, 0].expand_as(f[:, 0]), frame=f, measure=None
        )


def test_pooling_without_a_measure_fails_unless_it_says_so() -> None:
    class Suite(PoolingSuite):
        frame_is_bag = True

        def make(self, in_features: int, classes: int) -> nn.Module:
            return LargestFrame(in_features, classes)

    with pytest.raises(AssertionError):
        Suite().test_prediction_has_the_documented_shapes_in_fp32()
    with pytest.raises(AssertionError):
        Suite().test_frame_is_the_bag_that_holds_it_alone()
    Suite.has_measure = False
    Suite().test_prediction_has_the_documented_shapes_in_fp32()
    with pytest.raises(pytest.skip.Exception):
        Suite().test_measure_sums_to_one_and_is_zero_on_padding()


def test_sampler_with_a_state_of_its_own_fails() -> None:
    class Continues(Sampler):
        """Draws from one generator, so that a batch depends on those before it."""

        def draw(self, step: int) -> NDArray[np.int64]:
            self.rng = getattr(self, "rng", np.random.default_rng(self.seed))
            return self.rng.integers(len(self.labels), size=self.batch_size)

    class Suite(SamplerSuite):
        sampler = Continues

    with pytest.raises(AssertionError):
        Suite().test_batch_is_a_function_of_seed_and_step(2)
    with pytest.raises(AssertionError):
        Suite().test_continues_from_a_checkpoint()


def test_metric_that_averages_a_ranking_over_batches_fails() -> None:
    class Averaged(MeanMetric):
        def update(self, preds: Tensor, target: Tensor) -> None:
            super().update(tagging_scores(preds, target).average_precision.nanmean())

    class Suite(MetricSuite):
        metric = partial(Averaged, nan_strategy="ignore")

    torch.manual_seed(0)
    clips = torch.rand(50, 6), torch.rand(50, 6) < 0.3
    with pytest.raises(AssertionError):
        Suite().test_batches_equal_one_pass(clips, 7)


def test_embedding_that_reads_padding_fails() -> None:
    class Centred(nn.Identity):
        out_features = 6

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return x - x.mean(1, keepdim=True)

    class Suite(EmbeddingSuite):
        embedding = Centred

    with pytest.raises(AssertionError):
        Suite().test_padding_changes_nothing()


def test_loss_that_reads_padding_fails() -> None:
    class OverAllFrames(nn.Module):
        def forward(self, prediction: BagPrediction, labels: Tensor, mask: Tensor) -> Tensor:
            return (prediction.frame - labels[:, None].float()).square().mean()

    class Suite(LossSuite):
        loss = OverAllFrames

    with pytest.raises(AssertionError):
        Suite().test_padding_changes_nothing()


def test_augmentation_that_adds_noise_to_padding_or_waits_fails() -> None:
    class Noise(Augmentation):
        def forward(self, bags: Bags) -> Bags:
            scale = bags.frames.float().std().item()
            return replace(bags, frames=bags.frames + scale * torch.rand(bags.frames.shape))

    class Suite(AugmentSuite):
        augment = Noise

    with pytest.raises(AssertionError):
        Suite().test_padding_is_zero()
    with pytest.raises(AssertionError):
        Suite().test_the_host_does_not_wait_for_the_device()


def test_augmentation_that_changes_the_given_bags_fails() -> None:
    class InPlace(Augmentation):
        def forward(self, bags: Bags) -> Bags:
            bags.frames.clamp_(max=9)
            return bags

    class Suite(AugmentSuite):
        augment = InPlace

    with pytest.raises(AssertionError):
        Suite().test_the_given_bags_stay_as_they_are()


def test_the_pooling_of_the_documentation_passes_its_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for title, text in re.findall(
        r'^```python title="([^"]+)"\n(.*?)^```$', PAGE.read_text(), re.DOTALL | re.MULTILINE
    ):
        (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / title).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("theirs", "theirs.pooling", "theirs.test_pooling"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    suite = importlib.import_module("theirs.test_pooling").TestRecent()
    skipped = []
    for name in [name for name in dir(suite) if name.startswith("test_")]:
        try:
            getattr(suite, name)()
        except pytest.skip.Exception:
            skipped.append(name)
    assert set(skipped) - {"test_onnx_gives_the_same_prediction"} == {
        "test_equals_the_oracle",
        "test_frame_is_the_bag_that_holds_it_alone",
        "test_permuting_frames_permutes_the_measure_and_keeps_the_clip",
    }
    for name in ("theirs", "theirs.pooling", "theirs.test_pooling"):
        del sys.modules[name]
