from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiobag.augment import Augmentation, Distillation, LabelEnhancement, OntologyParents, TrainingClips
from audiobag.testing import AugmentSuite

ONTOLOGY = Path(__file__).with_name("ontology.json")


class Fixed:
    """A teacher that has a random opinion of each clip, by its id."""

    def __init__(self, classes: int = 3) -> None:
        self.classes = classes

    def probability(self, video_id: NDArray[np.character]) -> NDArray[np.floating[Any]]:
        return np.stack([np.random.default_rng([*one]).random(self.classes) for one in video_id])


class TestDistillation(AugmentSuite):
    augment = partial(Distillation, Fixed(), weight=0.3)

    def test_equals_the_equation(self) -> None:
        before = self.bags()
        q = Fixed().probability(self.clips().video_id[before.index.numpy()])
        expected = 0.7 * before.labels.numpy() + 0.3 * q
        np.testing.assert_allclose(self.apply(before).labels.numpy(), expected, atol=1e-3)  # q is kept in fp16

    def test_other_classes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="teacher has 4 classes, the training clips have 3"):
            Distillation(Fixed(4)).set_training_clips(self.clips())


@pytest.mark.parametrize("make", [Distillation, LabelEnhancement])
def test_a_hold_out_that_the_teacher_may_know_gets_a_warning(
    make: Callable[[Fixed], Augmentation], caplog: pytest.LogCaptureFixture
) -> None:
    make(Fixed()).set_training_clips(TestDistillation().clips())
    assert not caplog.messages
    make(Fixed()).set_training_clips(replace(TestDistillation().clips(), held_out=True))
    assert "the scores of the hold-out are far too high" in caplog.text


class TestLabelEnhancement(AugmentSuite):
    augment = partial(LabelEnhancement, Fixed())

    @pytest.mark.parametrize("quantile", [None, 0.25])
    def test_equals_the_equation(self, quantile: float | None) -> None:
        enhancement = LabelEnhancement(Fixed(), quantile, value=0.8)
        enhancement.set_training_clips(self.clips())
        before, clips = self.bags(), self.clips()
        q, labels = Fixed().probability(clips.video_id), clips.labels.dense()
        after = enhancement(before).labels
        for row, clip in enumerate(before.index.tolist()):
            for k in range(3):
                known = sorted(q[n, k] for n in range(40) if labels[n, k])
                threshold = np.mean(known) if quantile is None else np.quantile(known, quantile)
                added = 0.8 if q[clip, k] >= threshold and not labels[clip, k] else 0.0
                assert after[row, k].item() == pytest.approx(1.0 if labels[clip, k] else added)

    def test_a_class_without_labels_is_left_alone(self) -> None:
        clips = self.clips()
        none = replace(clips.labels, ids=clips.labels.ids[:0], offsets=np.zeros(41, np.int64))
        enhancement = LabelEnhancement(Fixed())
        enhancement.set_training_clips(replace(clips, labels=none))
        bags = replace(self.bags(), labels=torch.zeros(32, 3, dtype=torch.bool))
        assert not enhancement(bags).labels.any()


class TestOntologyParents(AugmentSuite):
    augment = partial(OntologyParents, ONTOLOGY)

    def test_a_clip_has_the_classes_above_its_own(self) -> None:
        parents = OntologyParents(ONTOLOGY)
        parents.set_training_clips(self.clips())
        labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0.2, 0.1, 0.5]])
        bags = self.bags()
        five = replace(bags, **{n: getattr(bags, n)[:5] for n in ("frames", "lengths", "index")}, labels=labels)
        expected = [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5]]
        torch.testing.assert_close(parents(five).labels, torch.tensor(expected))

    def test_unknown_classes_and_other_files_are_refused(self, tmp_path: Path) -> None:
        other = TrainingClips(self.clips().video_id, self.clips().labels, ("/m/a", "/m/b", "/m/z"))
        with pytest.raises(ValueError, match=r"path .*ontology\.json lacks 1 of the 3 classes, the first is '/m/z'"):
            OntologyParents(ONTOLOGY).set_training_clips(other)
        for content in ("{}", "[{}]", "no"):
            (tmp_path / "other.json").write_text(content if content != "{}" else '{"a": 1}')
            with pytest.raises(ValueError, match=r"path .*other\.json is not a list of id and child_ids"):
                OntologyParents(tmp_path / "other.json").set_training_clips(self.clips())
        with pytest.raises(ValueError, match=r"path must be a file .*absent\.json \(No such file"):
            OntologyParents(tmp_path / "absent.json").set_training_clips(self.clips())


@pytest.mark.parametrize("make", [TestDistillation, TestLabelEnhancement, TestOntologyParents])
def test_targets_come_before_what_mixes_clips(make: type[AugmentSuite]) -> None:
    module = make().make()
    assert isinstance(module, Augmentation)
    assert module.before_others


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (partial(Distillation, Fixed(), 2), r"weight must be a number in \[0, 1\], got 2"),
        (partial(LabelEnhancement, Fixed(), 2), "quantile must be .* or null for the mean, got 2"),
        (partial(LabelEnhancement, Fixed(), None, 2), "value must be"),
    ],
)
def test_arguments_out_of_range_are_refused(make: partial[object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
