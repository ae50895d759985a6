"""The test suite of augmentations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close

from audiobag.augment import TrainingClips
from audiobag.bags import Bags
from audiobag.labels import LearnsOfClips
from audiobag.testing.inputs import random_labels

_CLIPS, _CLASSES = 40, 3
# Each makes the host wait for a GPU.
_WAITS = (
    Tensor.item,
    Tensor.tolist,
    Tensor.cpu,
    Tensor.numpy,
    Tensor.nonzero,
    Tensor.__bool__,
    Tensor.__float__,
    Tensor.__int__,
    Tensor.__index__,
)


class AugmentSuite:
    """Tests of an augmentation.

    Attributes:
        augment: called without arguments; an augmentation's class or a `functools.partial` of one.

    Examples:
        >>> from audiobag.augment import Mixup
        >>> class TestMixup(AugmentSuite):
        ...     augment = Mixup
    """

    augment: ClassVar[Callable[[], nn.Module]]

    def make(self) -> nn.Module:
        """Return the augmentation under test."""
        return type(self).augment()

    def clips(self) -> TrainingClips:
        """Return the training clips that it is told of: 40 clips of 3 classes."""
        ids = np.array([f"clip{i:06d}" for i in range(_CLIPS)], np.bytes_)
        return TrainingClips(ids, random_labels(_CLIPS, _CLASSES), ("/m/a", "/m/b", "/m/c"), 1 / 128)

    def apply(self, bags: Bags, seed: int = 1) -> Bags:
        """Return augmented bags."""
        module = self._ready()
        torch.manual_seed(seed)
        augmented: Bags = module(bags)
        return augmented

    def _ready(self) -> nn.Module:
        module = self.make()
        if isinstance(module, LearnsOfClips):
            module.set_training_clips(self.clips())
        return module

    def bags(self) -> Bags:
        """Return 32 of the clips, with 1 to 6 frames of 4 numbers as AudioSet stores them."""
        rng = np.random.default_rng(0)
        index = rng.permutation(_CLIPS)[:32]
        lengths = torch.from_numpy(rng.integers(1, 7, len(index)))
        frames = torch.from_numpy(rng.integers(1, 256, (len(index), 6, 4), dtype=np.uint8))
        padding = torch.arange(6) >= lengths[:, None]
        labels = torch.from_numpy(self.clips().labels.take(index).dense())
        return Bags(frames.masked_fill(padding[..., None], 0), lengths, labels, torch.from_numpy(index))

    def test_bags_keep_the_shape_and_one_frame_or_more(self) -> None:
        before = self.bags()
        for seed in range(5):
            after = self.apply(before, seed)
            assert after.frames.shape == before.frames.shape
            assert after.labels.shape == before.labels.shape
            assert after.lengths.min() >= 1
            assert after.lengths.max() <= before.frames.shape[1]

    def test_padding_is_zero(self) -> None:
        after = self.apply(self.bags())
        assert not after.frames[~after.mask].any()

    def test_labels_lie_between_zero_and_one(self) -> None:
        labels = self.apply(self.bags()).labels.float()
        assert ((labels >= 0) & (labels <= 1)).all()

    def test_clips_keep_their_numbers(self) -> None:
        assert torch.equal(self.apply(self.bags()).index, self.bags().index)

    def test_the_given_bags_stay_as_they_are(self) -> None:
        bags = self.bags()
        self.apply(bags)
        for name in ("frames", "lengths", "labels", "index"):
            assert torch.equal(getattr(bags, name), getattr(self.bags(), name)), name

    def test_the_seed_decides(self) -> None:
        first, again = self.apply(self.bags()), self.apply(self.bags())
        for name in ("frames", "lengths", "labels"):
            assert torch.equal(getattr(first, name), getattr(again, name)), name

    def test_augmented_bags_can_be_augmented_again(self) -> None:
        """Frames and labels are numbers then."""
        self.apply(self.apply(self.bags()))

    def test_bf16_autocast_changes_nothing(self) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            found = self.apply(self.bags())
        expected = self.apply(self.bags())
        assert_close((found.frames, found.labels), (expected.frames, expected.labels))

    def test_one_bag_of_one_frame(self) -> None:
        bags = self.bags()
        alone = Bags(bags.frames[:1, :1], torch.ones(1, dtype=torch.int64), bags.labels[:1], bags.index[:1])
        assert self.apply(alone).lengths.tolist() == [1]

    def test_nothing_is_saved_in_checkpoints(self) -> None:
        assert not self.make().state_dict()

    def test_the_host_does_not_wait_for_the_device(self) -> None:
        module, bags = self._ready(), self.bags()
        module(bags)
        with _Watched() as watched:
            module(bags)
        assert watched.waits == []


class _Watched(TorchFunctionMode):
    """Records what makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _WAITS:
            self.waits.append(func.__name__)
        return func(*args, **(kwargs or {}))
