from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audiobag.embedding import GRU, MLP, Identity
from audiobag.kernels.dropout import Dropout
from audiobag.testing import EmbeddingSuite
from tests.oracles import embedding as oracle


class TestIdentity(EmbeddingSuite):
    embedding = Identity


class TestMLP(EmbeddingSuite):
    embedding = partial(MLP, depth=2, width=8)


class TestMLPWithBatchNorm(EmbeddingSuite):
    embedding = partial(MLP, depth=2, width=8, batch_norm=True)


class TestGRU(EmbeddingSuite):
    embedding = partial(GRU, depth=2, width=8)


class TestGRUInOneDirection(EmbeddingSuite):
    embedding = partial(GRU, depth=1, width=8, bidirectional=False)


@pytest.fixture
def bags() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    lengths = torch.tensor([4, 1, 3])
    return torch.randn(3, 4, 5), torch.arange(4) < lengths[:, None]


@pytest.mark.parametrize(
    "embedding",
    [
        MLP(5, depth=2, width=8, dropout=0.0),
        MLP(5, depth=2, width=8, dropout=0.0, batch_norm=True),
        GRU(5, depth=2, width=8, dropout=0.0),
    ],
    ids=["MLP", "MLP with batch norm", "GRU"],
)
def test_padding_changes_nothing_in_training(embedding: nn.Module, bags: tuple[Tensor, Tensor]) -> None:
    x, mask = bags
    h = embedding.train()(x, mask)
    noise = torch.where(mask[..., None], x, 100.0)
    wider = torch.cat([noise, torch.full((3, 2, 5), -7.0)], 1)
    again = embedding(wider, torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], 1))
    torch.testing.assert_close(again[:, :4][mask], h[mask])


def test_default_mlp_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    mlp = MLP(128).eval()
    assert [tuple(layer.weight.shape) for layer in mlp.dense] == [(500, 128), (500, 500), (500, 500)]
    assert [m.rate for m in mlp.modules() if isinstance(m, Dropout)] == [0.2]
    x = torch.randn(2, 3, 128)
    weights = [(layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in mlp.dense]
    expected = torch.from_numpy(oracle.mlp(x.double().numpy(), weights)).float()
    torch.testing.assert_close(mlp(x, torch.ones(2, 3, dtype=torch.bool)).detach(), expected)


def test_gru_equals_the_equations(bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    embedding = GRU(5, depth=1, width=4, bidirectional=False).eval()
    x, mask = bags
    weights = [w.detach().double().numpy() for w in embedding.gru.parameters()]
    expected = np.stack([oracle.gru(bag, *weights) for bag in x.double().numpy()])
    torch.testing.assert_close(embedding(x, mask)[mask], torch.from_numpy(expected).float()[mask])


def test_batch_norm_takes_its_statistics_from_real_frames(bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    mlp = MLP(5, depth=1, width=8, dropout=0.0, batch_norm=True)
    x, mask = bags
    mlp(x, mask)
    real = mlp.dense[0](x)[mask]
    torch.testing.assert_close(mlp.norm[0].running_mean, 0.1 * real.mean(0).detach())


def test_gru_reads_a_bag_as_if_it_were_alone() -> None:
    torch.manual_seed(0)
    gru = GRU(5, depth=2, width=8).eval()
    x = torch.randn(2, 6, 5)
    mask = torch.arange(6) < torch.tensor([6, 2])[:, None]
    torch.testing.assert_close(gru(x, mask)[1, :2], gru.gru(x[1:, :2])[0][0])


@pytest.mark.parametrize("kind", [MLP, GRU])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"dropout": 2}, r"dropout must be a number in \[0, 1\), got 2"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(kind: type, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        kind(5, **options)


def test_odd_bidirectional_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^width must be even for a bidirectional GRU, got 7"):
        GRU(5, width=7)
