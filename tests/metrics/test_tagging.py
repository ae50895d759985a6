from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import MetricCollection

from audiobag.metrics import AUC, DPrime, MeanAveragePrecision, Tagging, TaggingScores, tagging_scores
from audiobag.testing import MetricSuite
from tests.oracles import metrics as oracle


class TestTagging(MetricSuite):
    metric = Tagging
    oracle_tolerance = 1e-12

    def oracle(self, probability: NDArray[np.float64], labels: NDArray[np.bool_]) -> list[Any]:
        return [*oracle.per_class(probability, labels), labels.sum(0)]

    def numbers(self, result: TaggingScores) -> list[Tensor]:
        return [result.average_precision, result.auc, result.positives]


class TestMeans(MetricSuite):
    @staticmethod
    def metric() -> MetricCollection:
        return MetricCollection({"mAP": MeanAveragePrecision(), "AUC": AUC(), "d_prime": DPrime()})

    def oracle(self, probability: NDArray[np.float64], labels: NDArray[np.bool_]) -> list[Any]:
        mAP, mean_auc = (float(np.nanmean(x)) for x in oracle.per_class(probability, labels))
        return [mAP, mean_auc, oracle.d_prime(mean_auc)]

    def numbers(self, result: dict[str, Tensor]) -> list[Tensor]:
        return [result[name] for name in ("mAP", "AUC", "d_prime")]


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(50, 6), torch.rand(50, 6) < 0.3


def test_means_are_those_of_the_scores_and_share_one_copy_of_the_clips(clips: tuple[Tensor, Tensor]) -> None:
    collection = TestMeans.metric()
    for batch in zip(*(x.split(7) for x in clips)):
        collection.update(*batch)
    expected = tagging_scores(*clips).summary()
    assert {k: v.item() for k, v in collection.compute().items()} == {
        k: pytest.approx(expected[k], rel=1e-6) for k in ("mAP", "AUC", "d_prime")
    }
    assert len(collection.compute_groups) == 1


def test_scores_can_be_pickled(clips: tuple[Tensor, Tensor]) -> None:
    scores = tagging_scores(*clips)
    assert pickle.loads(pickle.dumps(scores)).summary() == scores.summary()


def test_a_single_class_keeps_its_vectors() -> None:
    metric = Tagging()
    metric.update(torch.tensor([[0.9], [0.2]]), torch.tensor([[True], [False]]))
    assert metric.compute().average_precision.tolist() == [1.0]


def test_half_precision_is_scored_without_rounding(clips: tuple[Tensor, Tensor]) -> None:
    metric = Tagging()
    metric.update(clips[0].bfloat16(), clips[1])
    assert metric.compute().summary() == tagging_scores(clips[0].bfloat16(), clips[1]).summary()


def test_states_follow_the_metric_to_a_device(clips: tuple[Tensor, Tensor]) -> None:
    metric = MeanAveragePrecision()
    metric.update(*clips)
    metric.to("meta")
    assert {x.device.type for x in (*metric.preds, *metric.target)} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_states_have_one_dtype_and_no_history(dtype: torch.dtype, clips: tuple[Tensor, Tensor]) -> None:
    metric = MeanAveragePrecision()
    metric.update(clips[0].to(dtype).requires_grad_(), clips[1])
    assert (metric.preds[0].dtype, metric.preds[0].requires_grad) == (torch.float32, False)


def test_bad_scores_are_refused_at_the_update(clips: tuple[Tensor, Tensor]) -> None:
    clips[0][3, 2] = torch.nan
    with pytest.raises(ValueError, match="found nan at clip 3, class 2"):
        Tagging().update(*clips)


def test_compute_without_clips_is_refused(clips: tuple[Tensor, Tensor]) -> None:
    with pytest.warns(UserWarning, match="before the ``update``"), pytest.raises(ValueError, match="call update"):
        AUC().compute()
