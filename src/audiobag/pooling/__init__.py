"""Poolings: modules that map embedded frames h [B, T, H] and a mask [B, T] to a `BagPrediction`."""

from audiobag.pooling.attention import Attention, ReLUAttention, SigmoidAttention, SoftmaxAttention
from audiobag.pooling.average import Average
from audiobag.pooling.bag_attention import BagAttention
from audiobag.pooling.codebook import NetVLAD, SoftDBoF
from audiobag.pooling.dual_stream import DualStream
from audiobag.pooling.expectation import Expectation
from audiobag.pooling.feature_attention import FeatureAttention
from audiobag.pooling.max import Max
from audiobag.pooling.measure import Measure
from audiobag.pooling.multi_head import MultiHead
from audiobag.pooling.multi_level import MultiLevel
from audiobag.pooling.prototypes import GatedPrototypes, Prototypes
from audiobag.pooling.set_transformer import SetTransformer

__all__ = [
    "Attention",
    "Average",
    "BagAttention",
    "DualStream",
    "Expectation",
    "FeatureAttention",
    "GatedPrototypes",
    "Max",
    "Measure",
    "MultiHead",
    "MultiLevel",
    "NetVLAD",
    "Prototypes",
    "ReLUAttention",
    "SetTransformer",
    "SigmoidAttention",
    "SoftDBoF",
    "SoftmaxAttention",
]
