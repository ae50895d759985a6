from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audiobag.embedding import GRU, LSTM, MLP, Convolution, Identity, ResidualMLP, Transformer
from audiobag.kernels.dropout import Dropout
from audiobag.testing import EmbeddingSuite
from tests.oracles import embedding as oracle


class TestIdentity(EmbeddingSuite):
    embedding = Identity


class TestMLP(EmbeddingSuite):
    embedding = partial(MLP, depth=2, width=8)


class TestMLPWithBatchNorm(EmbeddingSuite):
    embedding = partial(MLP, depth=2, width=8, batch_norm=True)


class TestMLPWithInputNorm(EmbeddingSuite):
    embedding = partial(MLP, depth=2, width=8, batch_norm=True, input_norm=True)


class TestGRU(EmbeddingSuite):
    embedding = partial(GRU, depth=2, width=8)


class TestGRUInOneDirection(EmbeddingSuite):
    embedding = partial(GRU, depth=1, width=8, bidirectional=False)


class TestLSTM(EmbeddingSuite):
    embedding = partial(LSTM, depth=2, width=8)


class TestResidualMLP(EmbeddingSuite):
    embedding = partial(ResidualMLP, depth=2, width=8)


class TestConvolution(EmbeddingSuite):
    embedding = partial(Convolution, depth=2, width=8)


class TestConvolutionWithBatchNorm(EmbeddingSuite):
    embedding = partial(Convolution, depth=2, width=8, kernel=5, batch_norm=True)


class TestTransformer(EmbeddingSuite):
    embedding = partial(Transformer, depth=2, width=8, heads=2, hidden=12)


class TestTransformerWithPositions(EmbeddingSuite):
    embedding = partial(Transformer, depth=2, width=8, heads=2, hidden=12, positions=4)


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
        MLP(5, depth=2, width=8, dropout=0.0, input_norm=True),
        ResidualMLP(5, depth=2, width=8, dropout=0.0),
        Convolution(5, depth=2, width=8, dropout=0.0, batch_norm=True),
        Transformer(5, depth=2, width=8, heads=2, hidden=12, dropout=0.0),
        GRU(5, depth=2, width=8, dropout=0.0),
        LSTM(5, depth=2, width=8, dropout=0.0),
    ],
    ids=lambda embedding: type(embedding).__name__,
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


def test_the_input_can_be_normalised(bags: tuple[Tensor, Tensor]) -> None:
    """It makes the scale and the offset of each feature irrelevant."""
    torch.manual_seed(0)
    mlp = MLP(5, depth=2, width=8, dropout=0.0, input_norm=True)
    x, mask = bags
    torch.testing.assert_close(mlp(3 * x + 7, mask)[mask], mlp(x, mask)[mask], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", [MLP, ResidualMLP, Convolution, Transformer, GRU, LSTM])
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


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_odd_bidirectional_width_is_refused(kind: type) -> None:
    with pytest.raises(ValueError, match=rf"^width must be even for a bidirectional {kind.__name__}, got 7"):
        kind(5, width=7)


def test_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^kernel must be odd, .*, got 4"):
        Convolution(5, kernel=4)


def test_width_that_the_heads_do_not_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^width must be a multiple of heads, got 6 for 4 heads"):
        Transformer(5, width=6, heads=4)


def test_no_positions_is_null() -> None:
    with pytest.raises(ValueError, match=r"^positions must be a whole number of at least 1, or null for none, got 0"):
        Transformer(5, positions=0)


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: x.double().numpy() for name, x in module.state_dict().items()}


def assert_each_bag_is(embedding: nn.Module, of_bag: Callable[..., np.ndarray], bags: tuple[Tensor, Tensor]) -> None:
    x, mask = bags
    parameters = arrays(embedding)
    h = embedding.eval()(x, mask).detach()
    for bag, real, found in zip(x.double().numpy(), mask, h):
        expected = torch.from_numpy(of_bag(parameters, bag[: int(real.sum())])).float()
        torch.testing.assert_close(found[real], expected, atol=1e-5, rtol=1e-5)


def test_lstm_equals_the_equations(bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    assert_each_bag_is(LSTM(5, depth=1, width=4, bidirectional=False), oracle.lstm, bags)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_residual_mlp_equals_the_equations(batch_norm: bool, bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    embedding = ResidualMLP(5, depth=3, width=4, dropout=0.0, batch_norm=batch_norm)
    embedding(*bags)  # moves the running statistics of batch norm
    assert_each_bag_is(embedding, oracle.residual_mlp, bags)


def test_convolution_equals_the_equations(bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    assert_each_bag_is(Convolution(5, depth=2, width=4, kernel=3), oracle.convolution, bags)


@pytest.mark.parametrize("positions", [None, 3])
def test_transformer_equals_the_equations(positions: int | None, bags: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    embedding = Transformer(5, depth=2, width=6, heads=2, hidden=7, positions=positions)
    assert_each_bag_is(embedding, partial(oracle.transformer, 2), bags)


def test_transformer_without_positions_ignores_the_order() -> None:
    torch.manual_seed(0)
    x, mask, order = torch.randn(2, 4, 5), torch.ones(2, 4, dtype=torch.bool), torch.tensor([2, 0, 3, 1])
    for positions, same in ((None, True), (4, False)):
        embedding = Transformer(5, width=8, heads=2, hidden=12, positions=positions).eval()
        found = embedding(x[:, order], mask)
        assert torch.allclose(found, embedding(x, mask)[:, order], atol=1e-5) == same
