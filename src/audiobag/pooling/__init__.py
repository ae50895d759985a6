"""Poolings: modules that map embedded frames h [B, T, H] and a mask [B, T] to a `BagPrediction`."""

from audiobag.pooling.attention import Attention, ReLUAttention, SigmoidAttention, SoftmaxAttention
from audiobag.pooling.auto_pool import AutoPool
from audiobag.pooling.average import Average
from audiobag.pooling.expectation import Expectation
from audiobag.pooling.exponential_softmax import ExponentialSoftmax
from audiobag.pooling.hierarchical import Hierarchical
from audiobag.pooling.linear_softmax import LinearSoftmax
from audiobag.pooling.log_sum_exp import LogSumExp
from audiobag.pooling.max import Max
from audiobag.pooling.measure import Measure
from audiobag.pooling.millet import Additive, Conjunctive
from audiobag.pooling.noisy_or import NoisyOr
from audiobag.pooling.power import Power
from audiobag.pooling.time_softmax import TimeSoftmaxAttention
from audiobag.pooling.top_k import TopK

__all__ = [
    "Additive",
    "Attention",
    "AutoPool",
    "Average",
    "Conjunctive",
    "Expectation",
    "ExponentialSoftmax",
    "Hierarchical",
    "LinearSoftmax",
    "LogSumExp",
    "Max",
    "Measure",
    "NoisyOr",
    "Power",
    "ReLUAttention",
    "SigmoidAttention",
    "SoftmaxAttention",
    "TimeSoftmaxAttention",
    "TopK",
]
