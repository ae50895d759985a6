"""Augmentations: modules that map training `Bags` to training `Bags` on the device, in each step.

They draw from torch's default generator, which is seeded in each step, and change frames, lengths and labels; labels
become numbers in [0, 1]. None of them reads a tensor on the host. Several are applied one after another.
"""

from audiobag.augment.base import Augmentation
from audiobag.augment.frames import FrameDropout, FrameShuffle
from audiobag.augment.mixup import Mixup
from audiobag.augment.noise import GaussianNoise
from audiobag.augment.smoothing import LabelSmoothing
from audiobag.augment.targets import Distillation, LabelEnhancement, OntologyParents, Teacher
from audiobag.labels import TrainingClips

__all__ = [
    "Augmentation",
    "Distillation",
    "FrameDropout",
    "FrameShuffle",
    "GaussianNoise",
    "LabelEnhancement",
    "LabelSmoothing",
    "Mixup",
    "OntologyParents",
    "Teacher",
    "TrainingClips",
]
