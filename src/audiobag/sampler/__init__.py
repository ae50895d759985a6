"""Samplers: which clips make up the batch of a training step."""

from audiobag.sampler.balanced import Balanced
from audiobag.sampler.base import Sampler
from audiobag.sampler.uniform import Uniform
from audiobag.sampler.weighted import Weighted

__all__ = ["Balanced", "Sampler", "Uniform", "Weighted"]
