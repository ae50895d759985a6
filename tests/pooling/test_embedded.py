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

from audiobag.pooling import (
    BagAttention,
    DualStream,
    FeatureAttention,
    GatedPrototypes,
    MultiHead,
    MultiLevel,
    NetVLAD,
    Prototypes,
    SetTransformer,
    SoftDBoF,
)
from audiobag.testing import PoolingSuite
from tests.oracles import embedded as oracle

Array = NDArray[np.float64]
Options = Mapping[str, int | float | bool]
Parameters = dict[str, Array]


class OfBags(PoolingSuite):
    """The suite for a pooling whose f is that of the bag with a single frame, and which is no expectation.

    `bag` and `attention` map (parameters, frames [L, H]) to F [K] and to p, [L] or [L, K].
    """

    expectation = False
    has_measure = False
    frame_is_bag = True
    pooling: type[nn.Module]
    options: Options = MappingProxyType({"prior": 0.2})
    bag: Callable[[Parameters, Array], Array]
    attention: Callable[[Parameters, Array], Array] | None = None

    def make(self, in_features: int, classes: int) -> nn.Module:
        pooling = self.pooling(in_features, classes, **self.options)
        for name, parameter in pooling.named_parameters():
            if (name.endswith(("gate", "weight")) and parameter.ndim == 1) or name == "prototypes":
                # Weights of heads and levels are the same at first; the steps of finite differences are as long as the
                # first prototypes.
                nn.init.normal_(parameter)
        return pooling

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> tuple[Array, Array, Array | None]:
        kind = type(self)
        clip, frame = oracle.bags(partial(kind.bag, parameters), h, lengths)
        if kind.attention is None:
            return clip, frame, None
        return clip, frame, oracle.measures(partial(kind.attention, parameters), h, lengths, self.classes)


class TestFeatureAttention(OfBags):
    pooling = FeatureAttention
    bag = staticmethod(oracle.feature_attention)


class TestFeatureAttentionOfAnotherWidth(OfBags):
    pooling = FeatureAttention
    options = MappingProxyType({"width": 5, "prior": 0.2})
    bag = staticmethod(oracle.feature_attention)


class TestBagAttention(OfBags):
    has_measure = True
    pooling = BagAttention
    options = MappingProxyType({"width": 5, "prior": 0.2})
    bag = staticmethod(oracle.bag_attention)
    attention = staticmethod(oracle.bag_attention_measure)


class TestGatedAttention(TestBagAttention):
    options = MappingProxyType({"width": 5, "gated": True, "prior": 0.2})


class TestMultiHead(OfBags):
    has_measure = True
    pooling = MultiHead
    options = MappingProxyType({"heads": 3})
    bag = staticmethod(oracle.multi_head)
    attention = staticmethod(oracle.multi_head_measure)


class TestMultiLevel(OfBags):
    pooling = MultiLevel
    options = MappingProxyType({"levels": 3, "prior": 0.2})
    bag = staticmethod(oracle.multi_level)


class TestDualStream(OfBags):
    has_measure = True
    frame_is_bag = False
    pooling = DualStream
    options = MappingProxyType({"width": 5, "prior": 0.2})

    def oracle(self, h: Array, lengths: NDArray[np.int64], parameters: Parameters) -> tuple[Array, Array, Array]:
        of_bag = partial(oracle.dual_stream, parameters)
        clip = np.stack([of_bag(bag[:length])[0] for bag, length in zip(h, lengths)])
        frame = oracle.sigmoid(oracle.dense(parameters, "instance", h))
        return clip, frame, oracle.measures(lambda x: of_bag(x)[1], h, lengths, self.classes)

    def test_the_critical_frame_has_the_largest_logit_even_if_probabilities_round_to_one(self) -> None:
        pooling = self._seeded()
        nn.init.constant_(pooling.instance.bias, 50.0)
        h = torch.randn(1, 5, self.in_features, generator=torch.Generator().manual_seed(0))
        found = pooling(h, torch.ones(1, 5, dtype=torch.bool))
        parameters = {name: x.double().numpy() for name, x in pooling.state_dict().items()}
        _, measure = oracle.dual_stream(parameters, h[0].double().numpy())
        np.testing.assert_allclose(found.measure[0].detach().numpy(), measure, atol=1e-5)


class TestSetTransformer(OfBags):
    has_measure = True
    pooling = SetTransformer
    options = MappingProxyType({"width": 8, "heads": 2, "seeds": 3, "prior": 0.2})
    bag = staticmethod(lambda parameters, x: oracle.set_transformer(2, parameters, x)[0])
    attention = staticmethod(lambda parameters, x: oracle.set_transformer(2, parameters, x)[1])


class TestNetVLAD(OfBags):
    pooling = NetVLAD
    options = MappingProxyType({"clusters": 3, "width": 5, "hidden": 7, "prior": 0.2})
    bag = staticmethod(oracle.netvlad)


class TestSoftDBoF(OfBags):
    pooling = SoftDBoF
    options = MappingProxyType({"clusters": 5, "hidden": 7, "prior": 0.2})
    bag = staticmethod(oracle.soft_dbof)


class TestPrototypes(OfBags):
    pooling = Prototypes
    options = MappingProxyType({"prototypes": 5, "binary": False, "prior": 0.2})
    bag = staticmethod(partial(oracle.prototypes, False))


class TestBinaryPrototypes(OfBags):
    pooling = Prototypes
    options = MappingProxyType({"prototypes": 5, "prior": 0.2})
    bag = staticmethod(partial(oracle.prototypes, True))

    def test_gradients_are_those_of_finite_differences(self) -> None:
        """The signs have no gradient but pass it on, as if they were the prototypes themselves."""
        torch.manual_seed(0)
        binary, real = (Prototypes(6, 4, prototypes=5, binary=binary) for binary in (True, False))
        real.load_state_dict(binary.state_dict())
        with torch.no_grad():
            real.prototypes.sign_()
        h, mask = torch.randn(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)
        for pooling in (binary, real):
            pooling(h, mask).clip.sum().backward()
        torch.testing.assert_close(binary.prototypes.grad, real.prototypes.grad)


class TestGatedPrototypes(OfBags):
    pooling = GatedPrototypes
    options = MappingProxyType({"prototypes": 5, "levels": 3, "prior": 0.2})
    bag = staticmethod(oracle.gated_prototypes)


@pytest.fixture
def bags() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 4, 6), torch.arange(4) < torch.tensor([4, 1, 3])[:, None]


WITH_PRIOR = [
    FeatureAttention,
    BagAttention,
    MultiLevel,
    DualStream,
    SetTransformer,
    NetVLAD,
    SoftDBoF,
    Prototypes,
    GatedPrototypes,
]


@pytest.mark.parametrize("pooling", [FeatureAttention, BagAttention, DualStream])
def test_prior_is_the_initial_probability(pooling: type[nn.Module], bags: tuple[Tensor, Tensor]) -> None:
    h, mask = bags
    for options, prior in (({}, 0.0025), ({"prior": 0.1}, 0.1)):
        found = pooling(6, 5, **options)(0 * h, mask)
        torch.testing.assert_close(found.clip, torch.full((3, 5), prior))
        torch.testing.assert_close(found.frame, torch.full((3, 4, 5), prior))


@pytest.mark.parametrize("pooling", WITH_PRIOR)
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


@pytest.mark.parametrize("pooling", WITH_PRIOR)
def test_first_probabilities_are_near_the_prior(pooling: type[nn.Module], bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    found = pooling(6, 50)(*bags)
    assert 0.0005 < found.clip.median() < 0.0125


@pytest.mark.parametrize(
    ("pooling", "option", "least"),
    [
        (FeatureAttention, "width", ", or null for that of the embedding"),
        (BagAttention, "width", ""),
        (MultiHead, "heads", ""),
        (MultiLevel, "levels", ""),
        (DualStream, "width", ""),
        (SetTransformer, "seeds", ""),
        (SetTransformer, "heads", ""),
        (NetVLAD, "clusters", ""),
        (NetVLAD, "width", ""),
        (NetVLAD, "hidden", ""),
        (SoftDBoF, "clusters", ""),
        (SoftDBoF, "hidden", ""),
        (Prototypes, "prototypes", ""),
        (GatedPrototypes, "prototypes", ""),
        (GatedPrototypes, "levels", ""),
    ],
)
def test_sizes_of_zero_are_refused(pooling: type[nn.Module], option: str, least: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be a whole number of at least 1{least}, got 0"):
        pooling(6, 5, **{option: 0})


@pytest.mark.parametrize("pooling", [MultiLevel, GatedPrototypes])
def test_dropout_out_of_range_is_refused(pooling: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"^dropout must be a number in \[0, 1\), got 1.0"):
        pooling(6, 5, dropout=1.0)


def test_width_that_the_heads_do_not_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^width must be a multiple of heads, got 6 for 4 heads"):
        SetTransformer(6, 5, width=6, heads=4)


def test_frames_that_resemble_the_critical_frame_share_its_weight() -> None:
    torch.manual_seed(0)
    x, other = torch.randn(2, 6)
    p = DualStream(6, 1)(torch.stack([x, other, x])[None], torch.ones(1, 3, dtype=torch.bool)).measure[0, :, 0]
    torch.testing.assert_close(p[0], p[2])
