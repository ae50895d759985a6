"""Poolings: modules that map embedded frames h [B, T, H] and a mask [B, T] to a `BagPrediction`."""

from audiobag.pooling.attention import Attention, ReLUAttention, SigmoidAttention, SoftmaxAttention
from audiobag.pooling.auto_pool import AutoPool
from audiobag.pooling.average import Average
from audiobag.pooling.bag_attention import BagAttention
from audiobag.pooling.codebook import NetVLAD, SoftDBoF
from audiobag.pooling.dual_stream import DualStream
from audiobag.pooling.expectation import Expectation
from audiobag.pooling.exponential_softmax import ExponentialSoftmax
from audiobag.pooling.feature_attention import FeatureAttention
from audiobag.pooling.fusion import Fusion
from audiobag.pooling.hierarchical import Hierarchical
from audiobag.pooling.linear_softmax import LinearSoftmax
from audiobag.pooling.log_sum_exp import LogSumExp
from audiobag.pooling.max import Max
from audiobag.pooling.measure import Measure
from audiobag.pooling.millet import Additive, Conjunctive
from audiobag.pooling.multi_head import MultiHead
from audiobag.pooling.multi_level import MultiLevel
from audiobag.pooling.noisy_or import NoisyOr
from audiobag.pooling.power import Power
from audiobag.pooling.prototypes import GatedPrototypes, Prototypes
from audiobag.pooling.set_transformer import SetTransformer
from audiobag.pooling.time_softmax import TimeSoftmaxAttention
from audiobag.pooling.top_k import TopK

__all__ = [
    "Additive",
    "Attention",
    "AutoPool",
    "Average",
    "BagAttention",
    "Conjunctive",
    "DualStream",
    "Expectation",
    "ExponentialSoftmax",
    "FeatureAttention",
    "Fusion",
    "GatedPrototypes",
    "Hierarchical",
    "LinearSoftmax",
    "LogSumExp",
    "Max",
    "Measure",
    "MultiHead",
    "MultiLevel",
    "NetVLAD",
    "NoisyOr",
    "Power",
    "Prototypes",
    "ReLUAttention",
    "SetTransformer",
    "SigmoidAttention",
    "SoftDBoF",
    "SoftmaxAttention",
    "TimeSoftmaxAttention",
    "TopK",
]
