"""Poolings that classify an embedding of the bag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiobag.pooling import FeatureAttention
from audiobag.testing import PoolingSuite
from tests.oracles import embedded as oracle

Array = NDArray[np.float64]


class OfBags(PoolingSuite):
    """The suite for a pooling without an instance classifier and without a measure."""

    expectation = False
    has_measure = False
    frame_is_bag = True
    pooling: type[nn.Module]
    options: Mapping[str, int | float | bool] = MappingProxyType({})
    bag: Callable[[dict[str, Array], Array], Array]

    def make(self, in_features: int, classes: int) -> nn.Module:
        return self.pooling(in_features, classes, **self.options)

    def oracle(
        self, h: Array, lengths: NDArray[np.int64], parameters: dict[str, Array]
    ) -> tuple[Array, Array, Array | None]:
        return *oracle.bags(partial(type(self).bag, parameters), h, lengths), None


class TestFeatureAttention(OfBags):
    pooling = FeatureAttention
    options = MappingProxyType({"prior": 0.2})
    bag = staticmethod(oracle.feature_attention)


class TestFeatureAttentionOfAnotherWidth(OfBags):
    pooling = FeatureAttention
    options = MappingProxyType({"width": 5, "prior": 0.2})
    bag = staticmethod(oracle.feature_attention)


@pytest.fixture
def bags() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 4, 6), torch.arange(4) < torch.tensor([4, 1, 3])[:, None]


@pytest.mark.parametrize("pooling", [FeatureAttention])
def test_prior_is_the_initial_probability(pooling: type[nn.Module], bags: tuple[Tensor, Tensor]) -> None:
    h, mask = bags
    for options, prior in (({}, 0.0025), ({"prior": 0.1}, 0.1)):
        found = pooling(6, 5, **options)(0 * h, mask)
        torch.testing.assert_close(found.clip, torch.full((3, 5), prior))
        torch.testing.assert_close(found.frame, torch.full((3, 4, 5), prior))


@pytest.mark.parametrize("pooling", [FeatureAttention])
@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0])
def test_prior_out_of_range_is_refused(pooling: type[nn.Module], prior: float) -> None:
    with pytest.raises(ValueError, match=rf"^prior must be a number in \(0, 1\), got {prior}"):
        pooling(6, 5, prior=prior)


def test_feature_attention_of_a_clipped_feature_is_the_mean(bags: tuple[Tensor, Tensor]) -> None:
    """Where the attention is below 1e-7 on all frames, the frames count the same."""
    h, mask = bags
    pooling = FeatureAttention(6, 5)
    nn.init.constant_(pooling.attention.bias, -100.0)
    u = torch.stack([pooling.value(bag[real]).mean(0) for bag, real in zip(h, mask)])
    torch.testing.assert_close(pooling(h, mask).clip, pooling.output(u).sigmoid())
