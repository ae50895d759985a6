"""Poolings: a bag of embedded instances to a prediction."""

from audiobag.pooling.expectation import Expectation
from audiobag.pooling.measure import (
    Attention,
    Average,
    Max,
    Measure,
    ReLUAttention,
    SigmoidAttention,
    SoftmaxAttention,
)

__all__ = [
    "Attention",
    "Average",
    "Expectation",
    "Max",
    "Measure",
    "ReLUAttention",
    "SigmoidAttention",
    "SoftmaxAttention",
]
