from __future__ import annotations

import doctest
import json
import math
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from audiobag.metrics import TaggingScores, functional, tagging, tagging_scores
from audiobag.metrics.functional import check_batch
from tests.oracles import metrics as oracle

VECTORS = ("average_precision", "auc", "d_prime_per_class", "positives")


def random_clips(clips: int = 300, classes: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random scores, somewhat higher on the positives; the first classes have 1, 2, ... positives."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(clips, classes, generator=generator).argsort(0) < torch.arange(1, classes + 1)
    probability = torch.sigmoid(torch.randn(clips, classes, generator=generator) + labels - 2)
    return probability, labels


KINDS = {
    "distinct": lambda p: p,
    "two values": lambda p: (p > 0.2).float(),
    "three values": lambda p: (2 * p).round() / 2,
    "all tied": lambda p: torch.full_like(p, 0.3),
    "zeros of both signs": lambda p: torch.where(p > 0.2, p, torch.where(p > 0.1, 0.0, -0.0)),
    "bf16": lambda p: p.bfloat16(),
    "fp16": lambda p: p.half(),
    "fp64, equal in fp32": lambda p: 0.5 + p.double() * 1e-9,
}


@pytest.mark.parametrize("kind", KINDS)
def test_equals_sklearn_and_the_definitions(kind: str) -> None:
    probability, labels = random_clips()
    probability = KINDS[kind](probability)
    found = tagging_scores(probability, labels)
    score = probability.double().numpy()
    for k, positive in enumerate(labels.numpy().T):
        ap, auc = found.average_precision[k].item(), found.auc[k].item()
        assert ap == pytest.approx(average_precision_score(positive, score[:, k]), abs=1e-12)
        assert auc == pytest.approx(roc_auc_score(positive, score[:, k]), abs=1e-12)
        assert ap == pytest.approx(oracle.average_precision(score[:, k], positive), abs=1e-12)
        assert auc == pytest.approx(oracle.auc(score[:, k], positive), abs=1e-12)
        assert found.d_prime_per_class[k].item() == pytest.approx(oracle.d_prime(auc), abs=1e-9)
        assert found.positives[k] == positive.sum()


def test_means_equal_sklearn() -> None:
    probability, labels = random_clips()
    found = tagging_scores(probability, labels)
    assert found.mAP == pytest.approx(average_precision_score(labels, probability, average="macro"), abs=1e-12)
    assert pytest.approx(roc_auc_score(labels, probability, average="macro"), abs=1e-12) == found.AUC
    assert found.d_prime == pytest.approx(oracle.d_prime(found.AUC), abs=1e-9)
    assert found.d_prime_mean == pytest.approx(np.mean([oracle.d_prime(a) for a in found.auc.tolist()]), abs=1e-9)


def test_the_papers_d_prime() -> None:
    found = TaggingScores(torch.rand(2).double(), torch.tensor([0.93, 1.0]).double(), torch.tensor([3, 1]))
    assert pytest.approx(0.965) == found.AUC
    assert found.d_prime == pytest.approx(2.558, abs=0.01)  # Table 2, from an AUC with three digits


def test_classes_without_positives_or_negatives_are_left_out_and_counted() -> None:
    probability, labels = random_clips(classes=4)
    labels[:, 1], labels[:, 3] = False, True
    found, alone = tagging_scores(probability, labels), tagging_scores(probability[:, ::2], labels[:, ::2])
    for name in VECTORS[:3]:
        assert getattr(found, name)[1::2].isnan().all()
        assert torch.equal(getattr(found, name)[::2], getattr(alone, name))
    assert found.positives.tolist() == [1, 0, 3, 300]
    assert found.summary() == {**alone.summary(), "classes_left_out": 2}
    assert (found.classes, alone.classes_left_out) == (2, 0)


def test_saturated_classes_are_counted_and_left_out_of_the_mean_d_prime() -> None:
    labels = torch.tensor([[True, True, True], [False, False, False], [True, True, False]])
    probability = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.9, 0.1], [0.8, 0.2, 0.3]])
    found = tagging_scores(probability, labels)
    assert found.auc.tolist() == [1.0, 0.0, 0.5]
    assert found.d_prime_per_class.tolist() == [math.inf, -math.inf, 0.0]
    assert (found.d_prime_mean, found.classes, found.classes_saturated) == (0.0, 3, 2)
    assert found.AUC == 0.5


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (torch.tensor([[True], [False]]), {"d_prime", "d_prime_mean"}),
        (torch.tensor([[True], [True]]), {"mAP", "AUC", "d_prime", "d_prime_mean"}),
        (torch.zeros(0, 3, dtype=torch.bool), {"mAP", "AUC", "d_prime", "d_prime_mean"}),
    ],
    ids=["perfect", "no class to score", "no clips"],
)
def test_undefined_numbers_are_none_in_the_summary(labels: Tensor, missing: set[str]) -> None:
    probability = torch.linspace(1, 0, labels.numel()).reshape(labels.shape)
    summary = tagging_scores(probability, labels).summary()
    json.dumps(summary, allow_nan=False)
    assert {name for name, value in summary.items() if value is None} == missing


def test_summary_has_these_numbers_in_this_order() -> None:
    summary = tagging_scores(*random_clips()).summary()
    assert list(summary) == [
        "mAP",
        "AUC",
        "d_prime",
        "d_prime_mean",
        "classes",
        "classes_left_out",
        "classes_saturated",
    ]
    assert {type(value) for value in summary.values()} == {float, int}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1e-6, 1.0000001])
def test_scores_outside_of_the_unit_interval_are_refused_with_their_position(bad: float) -> None:
    probability, labels = random_clips(clips=8, classes=5)
    probability[6, 2] = bad
    with pytest.raises(ValueError, match=r"found .* at clip 6, class 2 \(1 of 40") as refusal:
        tagging_scores(probability, labels)
    assert f"found {probability[6, 2].item():.9g} at" in str(refusal.value)


def test_wrong_shapes_and_dtypes_are_refused() -> None:
    probability, labels = random_clips(clips=8, classes=5)
    with pytest.raises(ValueError, match=r"one shape .* found \[8, 4\] and \[8, 5\]"):
        check_batch(probability[:, :4], labels)
    with pytest.raises(ValueError, match=r"one shape .* found \[8\] and \[8\]"):
        check_batch(probability[:, 0], labels[:, 0])
    with pytest.raises(ValueError, match=r"bool labels, found torch.float32 and torch.int64"):
        check_batch(probability, labels.long())
    with pytest.raises(ValueError, match=r"floating scores .* found torch.int64"):
        check_batch(probability.long(), labels)


@pytest.mark.parametrize("layout", ["clips in rows", "classes in rows", "one class"])
def test_the_input_is_not_modified(layout: str) -> None:
    probability, labels = random_clips()
    if layout == "classes in rows":
        probability = probability.t().contiguous().t()
    if layout == "one class":
        probability, labels = probability[:, :1], labels[:, :1]
    before = probability.clone()
    tagging_scores(probability.requires_grad_(), labels)
    assert torch.equal(probability, before)


# At most 251 values, among them 0 and 1, so that some scores tie.
CLIPS = st.tuples(st.integers(1, 40), st.integers(1, 4), st.sampled_from([1, 3, 250])).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape[:2], elements=st.integers(0, shape[2]).map(lambda i: i / shape[2])),
        hnp.arrays(np.bool_, shape[:2]),
    )
)


def same(a: TaggingScores, b: TaggingScores, *names: str) -> bool:
    """Whether all bits are equal, with NaN equal to NaN."""
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=n != "positives") for n in names)


@settings(deadline=None, max_examples=50)
@given(CLIPS)
def test_only_the_order_of_the_scores_matters(clips: tuple[np.ndarray, np.ndarray]) -> None:
    probability, labels = map(torch.from_numpy, clips)
    squeezed = probability.double().square() / 2 + 0.25  # exactly rounded: equal scores stay equal
    assert same(tagging_scores(probability, labels), tagging_scores(squeezed, labels), *VECTORS)


@settings(deadline=None, max_examples=50)
@given(CLIPS, st.randoms(use_true_random=False))
def test_the_order_of_the_clips_changes_nothing(clips: tuple[np.ndarray, np.ndarray], random: object) -> None:
    probability, labels = map(torch.from_numpy, clips)
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert same(tagging_scores(probability, labels), tagging_scores(probability[order], labels[order]), *VECTORS)


@settings(deadline=None, max_examples=50)
@given(CLIPS)
def test_doubling_the_clips_keeps_the_auc(clips: tuple[np.ndarray, np.ndarray]) -> None:
    probability, labels = map(torch.from_numpy, clips)
    once, twice = tagging_scores(probability, labels), tagging_scores(probability.repeat(2, 1), labels.repeat(2, 1))
    assert same(once, twice, "auc")
    assert torch.equal(2 * once.positives, twice.positives)


@settings(deadline=None, max_examples=50)
@given(CLIPS)
def test_reversing_the_scores_reverses_the_auc(clips: tuple[np.ndarray, np.ndarray]) -> None:
    probability, labels = (torch.from_numpy(x) for x in clips)
    there, back = tagging_scores(probability.double(), labels), tagging_scores(1 - probability.double(), labels)
    torch.testing.assert_close(there.auc, 1 - back.auc, equal_nan=True, atol=1e-12, rtol=0)


@pytest.mark.parametrize("module", [functional, tagging])
def test_the_examples_in_the_docstrings_hold(module: types.ModuleType) -> None:
    found = doctest.testmod(module, extraglobs={"torch": torch}, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted > 0
