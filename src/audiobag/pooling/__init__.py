"""Poolings: modules that map embedded frames h [B, T, H] and a mask [B, T] to a `BagPrediction`."""

from audiobag.pooling.attention import Attention, ReLUAttention, SigmoidAttention, SoftmaxAttention
from audiobag.pooling.average import Average
from audiobag.pooling.expectation import Expectation
from audiobag.pooling.feature_attention import FeatureAttention
from audiobag.pooling.max import Max
from audiobag.pooling.measure import Measure

__all__ = [
    "Attention",
    "Average",
    "Expectation",
    "FeatureAttention",
    "Max",
    "Measure",
    "ReLUAttention",
    "SigmoidAttention",
    "SoftmaxAttention",
]
