from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from audiobag.pooling import Expectation, FeatureAttention, Fusion, SigmoidAttention
from audiobag.testing import PoolingSuite
from tests.oracles import embedded
from tests.oracles import pooling as oracle

Array = NDArray[np.float64]


def part(parameters: dict[str, Array], name: str) -> dict[str, Array]:
    prefix = f"poolings.{name}."
    return {key.removeprefix(prefix): x for key, x in parameters.items() if key.startswith(prefix)}


def logit(p: Array) -> Array:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


class TestFusion(PoolingSuite):
    """Feature-level attention, which has no measure, with decision-level attention, which has one."""

    expectation = False
    frame_is_bag = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        decision = partial(Expectation, measure=SigmoidAttention)
        return Fusion(in_features, classes, {"feature": FeatureAttention, "decision": decision}, prior=0.2)

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: dict[str, Array]) -> tuple[Array, Array, Array]:
        feature = partial(embedded.feature_attention, part(parameters, "feature"))
        decision = part(parameters, "decision")
        names = ("classifier.weight", "classifier.bias", "measure.linear.weight", "measure.linear.bias")
        one = embedded.bags(feature, h, lengths)
        other = oracle.pool("sigmoid", h, lengths, *(decision[n] for n in names))
        with np.errstate(all="ignore"):
            clip, frame = (embedded.sigmoid((logit(a) + logit(b)) / 2) for a, b in zip(one, other))
        return clip, frame, other[2]


class TestFusionWithoutAMeasure(PoolingSuite):
    expectation = False
    has_measure = False
    frame_is_bag = True

    def make(self, in_features: int, classes: int) -> nn.Module:
        return Fusion(in_features, classes, {"a": FeatureAttention, "b": partial(FeatureAttention, width=5)})


def test_no_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^poolings must name at least one"):
        Fusion(6, 4, {})
