from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from audiobag.bags import BagPrediction
from audiobag.labels import LabelTable, TrainingClips
from audiobag.loss import AsymmetricBCE, ClipBCE, FocalBCE, FrameBCE, OntologyConsistency
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


class TestFocalBCE(LossSuite):
    loss = FocalBCE

    def oracle(self, clip: Array, frame: Array, labels: oracle.Labels, lengths: NDArray[np.int64]) -> float:
        return oracle.focal_bce(clip, labels, gamma=2.0)


class TestAsymmetricBCE(LossSuite):
    loss = partial(AsymmetricBCE, gamma_positive=1.0, margin=0.2)

    def oracle(self, clip: Array, frame: Array, labels: oracle.Labels, lengths: NDArray[np.int64]) -> float:
        return oracle.asymmetric_bce(clip, labels, positive=1.0, negative=4.0, margin=0.2)


def _clips(*mids: str) -> TrainingClips:
    return TrainingClips(np.array([b"x"]), LabelTable(np.array([0]), np.array([0, 1]), len(mids)), mids)


class TestOntologyConsistency(LossSuite):
    @pytest.fixture(autouse=True)
    def _ontology(self, tmp_path: Path) -> None:
        self.path = tmp_path / "ontology.json"
        below = {"a": ["between"], "between": ["b"], "b": ["c"], "c": []}
        self.path.write_text(json.dumps([{"id": name, "child_ids": ids} for name, ids in below.items()]))

    def make(self) -> nn.Module:
        loss = OntologyConsistency(ClipBCE(), self.path, weight=3.0)
        loss.set_training_clips(_clips("a", "b", "c"))
        return loss

    def oracle(self, clip: Array, frame: Array, labels: oracle.Labels, lengths: NDArray[np.int64]) -> float:
        return oracle.clip_bce(clip, labels) + 3 * oracle.inconsistency(clip, [(1, 0), (2, 0), (2, 1)])

    def test_probabilities_in_the_order_of_the_ontology_cost_nothing(self) -> None:
        clip = torch.tensor([[0.9, 0.5, 0.5], [0.2, 0.2, 0.0]])
        prediction, mask = BagPrediction(clip, clip[:, None], None), torch.ones(2, 1, dtype=torch.bool)
        labels = torch.zeros(2, 3, dtype=torch.bool)
        torch.testing.assert_close(self.make()(prediction, labels, mask), ClipBCE()(prediction, labels, mask))

    def test_the_other_loss_is_told_of_the_clips_too(self) -> None:
        outer = OntologyConsistency(OntologyConsistency(ClipBCE(), self.path, 1.0), self.path, 2.0)
        outer.set_training_clips(_clips("a", "b", "c"))
        clip = torch.tensor([[0.1, 0.5, 0.2]])
        arguments = BagPrediction(clip, clip[:, None], None), clip > 0.3, torch.ones(1, 1, dtype=torch.bool)
        torch.testing.assert_close(outer(*arguments), self.make()(*arguments))

    def test_it_does_not_compute_before_it_knows_the_ontology(self) -> None:
        clip = torch.ones(1, 3) / 2
        with pytest.raises(RuntimeError, match="set_training_clips must be called before the first step"):
            OntologyConsistency(ClipBCE(), self.path)(BagPrediction(clip, clip[:, None], None), clip > 0, clip > 0)

    def test_an_ontology_that_says_nothing_of_the_classes_is_refused(self) -> None:
        loss = OntologyConsistency(ClipBCE(), self.path)
        with pytest.raises(
            ValueError, match=r"path .*ontology\.json has no class above another: use a loss without it"
        ):
            loss.set_training_clips(_clips("c"))
        with pytest.raises(ValueError, match=r"path .*ontology\.json lacks 1 of the 2 classes, the first is 'z'"):
            loss.set_training_clips(_clips("a", "z"))


@pytest.mark.parametrize("loss", [FocalBCE(0.0), AsymmetricBCE(0.0, 0.0, 0.0)])
def test_without_an_exponent_it_is_cross_entropy(loss: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    clip, labels = torch.rand(2, 50, 3, generator=generator)
    prediction = BagPrediction(clip, clip[:, None], None)
    mask = torch.ones(50, 1, dtype=torch.bool)
    torch.testing.assert_close(loss(prediction, labels, mask), ClipBCE()(prediction, labels, mask))


def test_an_exponent_without_finite_gradients_is_refused() -> None:
    for make in (partial(FocalBCE, 0.5), partial(AsymmetricBCE, 0.5), partial(AsymmetricBCE, 0, 0.5)):
        with pytest.raises(ValueError, match=r"gamma.* must be 0 or at least 1, got 0\.5"):
            make()


@pytest.mark.parametrize("loss", [ClipBCE(), FrameBCE()])
def test_labels_between_0_and_1_are_those_of_torch(loss: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    clip, labels = torch.rand(2, 50, 3, generator=generator)
    clip.requires_grad_()
    found = loss(BagPrediction(clip, clip[:, None], None), labels, torch.ones(50, 1, dtype=torch.bool))
    expected = nn.functional.binary_cross_entropy(clip, labels)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, clip)[0] for x in (found, expected)))


def test_a_certain_and_wrong_clip_costs_100() -> None:
    wrong = BagPrediction(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 1, 2), torch.ones(1, 1, 2))
    loss = ClipBCE()(wrong, torch.tensor([[True, False]]), torch.ones(1, 1, dtype=torch.bool))
    assert loss.item() == 100.0
