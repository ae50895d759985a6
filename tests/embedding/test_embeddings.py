from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audiobag.embedding import GRU, MLP, Identity
from audiobag.embedding.dropout import Dropout
from audiobag.errors import UserError


@pytest.fixture
def bags() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    lengths = torch.tensor([4, 1, 3])
    return torch.randn(3, 4, 5), torch.arange(4) < lengths[:, None]


ALL = [
    Identity(5),
    MLP(5, depth=2, width=8),
    MLP(5, depth=2, width=8, batch_norm=True),
    GRU(5, depth=2, width=8),
    GRU(5, depth=1, width=8, bidirectional=False),
]


@pytest.mark.parametrize("embedding", ALL, ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(embedding: nn.Module, training: bool, bags: tuple[Tensor, Tensor]) -> None:
    x, mask = bags
    for dropout in (m for m in embedding.modules() if isinstance(m, Dropout)):
        dropout.rate = 0.0
    if isinstance(embedding, GRU):
        embedding.gru.dropout = 0.0
    embedding.train(training)
    h = embedding(x, mask)
    noise = torch.where(mask[..., None], x, 100.0)
    wider = torch.cat([noise, torch.full((3, 2, 5), -7.0)], 1)
    again = embedding(wider, torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], 1))
    assert h.shape == (3, 4, embedding.out_features)
    torch.testing.assert_close(again[:, :4][mask], h[mask])


def test_mlp_is_the_papers() -> None:
    """Three times dense, ReLU, from the weights by NumPy."""
    torch.manual_seed(0)
    mlp = MLP(128).eval()
    assert [tuple(layer.weight.shape) for layer in mlp.dense] == [(500, 128), (500, 500), (500, 500)]
    assert [m.rate for m in mlp.modules() if isinstance(m, Dropout)] == [0.2]
    x = torch.randn(2, 3, 128)
    expected = x.numpy()
    for layer in mlp.dense:
        expected = np.maximum(expected @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), 0)
    torch.testing.assert_close(mlp(x, torch.ones(2, 3, dtype=torch.bool)).detach(), torch.from_numpy(expected))


def test_batch_norm_takes_its_statistics_from_real_frames() -> None:
    torch.manual_seed(0)
    mlp = MLP(5, depth=1, width=8, dropout=0.0, batch_norm=True)
    x, mask = torch.randn(3, 4, 5), torch.arange(4) < torch.tensor([4, 1, 3])[:, None]
    mlp(x, mask)
    real = mlp.dense[0](x)[mask]
    torch.testing.assert_close(mlp.norm[0].running_mean, 0.1 * real.mean(0).detach())


def test_gru_reads_a_bag_as_if_it_were_alone() -> None:
    torch.manual_seed(0)
    gru = GRU(5, depth=2, width=8).eval()
    x = torch.randn(2, 6, 5)
    mask = torch.arange(6) < torch.tensor([6, 2])[:, None]
    torch.testing.assert_close(gru(x, mask)[1, :2], gru.gru(x[1:, :2])[0][0])


def test_odd_bidirectional_width_is_refused() -> None:
    with pytest.raises(UserError, match="width=7 is odd"):
        GRU(5, width=7)
