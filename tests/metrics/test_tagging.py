from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from audiobag.metrics import AUC, DPrime, MeanAveragePrecision, Tagging, TaggingScores, tagging_scores

FAMILY: list[type[Metric]] = [Tagging, MeanAveragePrecision, AUC, DPrime]


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    """Scores with ties, and a class each without positives and without negatives."""
    torch.manual_seed(0)
    probability, labels = torch.rand(50, 6).mul(20).round() / 20, torch.rand(50, 6) < 0.3
    labels[:, 1], labels[:, 4] = False, True
    return probability, labels


def feed(metric: Metric | MetricCollection, clips: tuple[Tensor, Tensor], size: int = 7) -> None:
    for batch in zip(*(x.split(size) for x in clips)):
        metric.update(*batch)


def numbers(found: TaggingScores | Tensor) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [found.average_precision, found.auc, found.positives]


def assert_same(a: TaggingScores | Tensor, b: TaggingScores | Tensor) -> None:
    torch.testing.assert_close(numbers(a), numbers(b), rtol=0, atol=0, equal_nan=True)


def test_batches_are_ranked_as_one(clips: tuple[Tensor, Tensor]) -> None:
    metric = Tagging()
    feed(metric, clips)
    assert_same(metric.compute(), tagging_scores(*clips))


def test_single_numbers_are_those_of_the_scores(clips: tuple[Tensor, Tensor]) -> None:
    collection = MetricCollection({"mAP": MeanAveragePrecision(), "AUC": AUC(), "d_prime": DPrime()})
    feed(collection, clips)
    expected = tagging_scores(*clips).summary()
    assert {k: v.item() for k, v in collection.compute().items()} == {
        k: pytest.approx(expected[k], rel=1e-6) for k in ("mAP", "AUC", "d_prime")
    }
    assert len(collection.compute_groups) == 1  # the clips are kept once for all three


def test_a_single_class_keeps_its_vectors() -> None:
    metric = Tagging()
    metric.update(torch.tensor([[0.9], [0.2]]), torch.tensor([[True], [False]]))
    assert metric.compute().average_precision.tolist() == [1.0]


def test_half_precision_is_scored_as_it_stands(clips: tuple[Tensor, Tensor]) -> None:
    metric = Tagging()
    metric.update(clips[0].bfloat16(), clips[1])
    assert_same(metric.compute(), tagging_scores(clips[0].bfloat16(), clips[1]))


@pytest.mark.parametrize("kind", FAMILY)
def test_reset_forgets(kind: type[Metric], clips: tuple[Tensor, Tensor]) -> None:
    metric, fresh = kind(), kind()
    metric.update(clips[0].flip(0), clips[1])
    metric.reset()
    feed(metric, clips)
    feed(fresh, clips)
    assert_same(metric.compute(), fresh.compute())


@pytest.mark.parametrize("kind", FAMILY)
def test_a_pickled_metric_goes_on(kind: type[Metric], clips: tuple[Tensor, Tensor]) -> None:
    metric, whole = kind(), kind()
    metric.update(clips[0][:20], clips[1][:20])
    copy = pickle.loads(pickle.dumps(metric))
    copy.update(clips[0][20:], clips[1][20:])
    feed(whole, clips)
    assert_same(copy.compute(), pickle.loads(pickle.dumps(whole.compute())))


def test_states_follow_the_metric_to_a_device(clips: tuple[Tensor, Tensor]) -> None:
    metric = MeanAveragePrecision()
    feed(metric, clips)
    metric.to("meta")
    assert {x.device.type for x in (*metric.preds, *metric.target)} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_states_have_one_dtype_and_no_history(dtype: torch.dtype, clips: tuple[Tensor, Tensor]) -> None:
    metric = MeanAveragePrecision()
    metric.update(clips[0].to(dtype).requires_grad_(), clips[1])
    assert (metric.preds[0].dtype, metric.preds[0].requires_grad) == (torch.float32, False)


def test_forward_gives_the_batch_and_keeps_the_whole(clips: tuple[Tensor, Tensor]) -> None:
    metric = Tagging()
    metric(clips[0][:30], clips[1][:30])
    batch = metric(clips[0][30:], clips[1][30:])
    assert_same(batch, tagging_scores(clips[0][30:], clips[1][30:]))
    assert_same(metric.compute(), tagging_scores(*clips))


def test_bad_scores_are_refused_when_they_come(clips: tuple[Tensor, Tensor]) -> None:
    clips[0][3, 2] = torch.nan
    with pytest.raises(ValueError, match="found nan at clip 3, class 2"):
        Tagging().update(*clips)


def test_nothing_to_score_is_said(clips: tuple[Tensor, Tensor]) -> None:
    with pytest.warns(UserWarning, match="before the ``update``"), pytest.raises(ValueError, match="call update"):
        AUC().compute()


@pytest.mark.timeout(150)
def test_two_gloo_ranks_with_uneven_shares_equal_one(clips: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    torch.save(clips, tmp_path / "clips.pt")
    script = Path(__file__).with_name("gloo_rank.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), tmp_path], env=environment, stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    try:
        for rank in ranks:
            _, errors = rank.communicate(timeout=120)
            assert rank.returncode == 0, errors.decode()
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    one, collection = Tagging(), MetricCollection([MeanAveragePrecision(), AUC(), DPrime()])
    feed(one, clips)
    feed(collection, clips)
    expected = [*numbers(one.compute()), *collection.compute().values()]
    for rank in (0, 1):
        for found in torch.load(tmp_path / f"{rank}.pt"):
            torch.testing.assert_close(list(found.values()), expected, rtol=0, atol=0, equal_nan=True)
