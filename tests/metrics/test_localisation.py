"""Localisation scores against their definitions, scikit-learn and known cases."""

from __future__ import annotations

import doctest
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from audiobag.metrics import FrameTruth, localisation, localisation_scores, rank_groups
from tests.oracles import localisation as oracle

K, T = 5, 6
KINDS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "distinct": lambda s: s,
    "three values": lambda s: (2 * s).round() / 2,
    "all tied": lambda s: np.full_like(s, 0.3),
    "zero": np.zeros_like,
    "float32": lambda s: s.astype(np.float32),
}


def random_truth(clips: int = 40, *, explicit: bool = False, seed: int = 0) -> FrameTruth:
    """Clips of 1 to 6 frames; some pairs cover all frames, some none; class 4 is never heard."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, T + 1, clips)
    clip, label = np.nonzero(rng.random((clips, K - 1)) < 0.5)
    shows = rng.random((len(clip), T)) < rng.choice([0, 0.3, 0.6, 1], len(clip))[:, None]
    known = rng.random(shows.shape) < 0.8 if explicit else None
    return FrameTruth(lengths, clip, label, shows, K, known)


def random_scores(truth: FrameTruth, seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.clip(rng.random((truth.lengths.sum(), K)) * 0.8 + 0.2 * truth.dense(), 0, 1)


def clip_by_clip(truth: FrameTruth, score: NDArray[Any]) -> list[oracle.Clip]:
    clips = []
    for n, (first, length) in enumerate(zip(truth.first, truth.lengths, strict=True)):
        shows = np.zeros((length, K), bool)
        known = np.full((length, K), truth.known is None)
        for pair in np.flatnonzero(truth.clip == n):
            shows[:, truth.label[pair]] = truth.shows[pair, :length]
            if truth.known is not None:
                known[:, truth.label[pair]] = truth.known[pair, :length]
        clips.append((score[first : first + length].astype(np.float64), shows, known))
    return clips


@pytest.mark.parametrize("explicit", [False, True], ids=["all known", "explicit negatives"])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_their_definitions(kind: str, explicit: bool) -> None:
    truth = random_truth(explicit=explicit)
    score = KINDS[kind](random_scores(truth))
    found, expected = localisation_scores(score, truth).per_class(), oracle.per_class(clip_by_clip(truth, score))
    assert list(found) == list(expected) == list(localisation.LOCALISATION)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, err_msg=name)


def test_rankings_of_groups_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    group, score = rng.integers(0, 4, 200), rng.random(200).round(1)
    positive = (rng.random(200) < 0.3) & (group != 2)
    found = rank_groups(group, score, positive, 5)
    for g in (0, 1, 3):
        s, y = score[group == g], positive[group == g]
        assert found.average_precision[g] == pytest.approx(average_precision_score(y, s), abs=1e-12)
        assert found.auc[g] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert all(np.isnan(values[[2, 4]]).all() for values in found)


def test_a_uniform_score_is_chance() -> None:
    truth = random_truth()
    found = localisation_scores(np.full((truth.lengths.sum(), K), 0.1), truth)
    np.testing.assert_allclose(found.within_AUC, 0.5)
    np.testing.assert_allclose(found.pointing, found.share)
    np.testing.assert_allclose(found.mass, found.share)


def test_the_truth_itself_is_perfect() -> None:
    truth = random_truth()
    summary = localisation_scores(truth.dense().astype(np.float32), truth).summary()
    assert {summary[name] for name in summary if name != "share"} == {1.0}


def test_pairs_that_are_heard_everywhere_or_nowhere_are_left_out_of_what_is_given_the_class() -> None:
    shows = np.array([[True, True, False], [True, False, False], [False, False, False], [True, False, True]])
    truth = FrameTruth(np.array([2, 1, 3]), np.array([0, 1, 2, 2]), np.array([0, 0, 0, 1]), shows, 2)
    found = localisation_scores(np.random.default_rng(0).random((6, 2)), truth)
    assert (found.clip.tolist(), found.label.tolist()) == ([2], [1])
    assert np.isnan(found.per_class()["pointing"][0])
    assert np.isfinite(found.per_class()["frame_mAP"]).all()


def test_the_order_of_clips_and_pairs_and_padding_change_nothing() -> None:
    truth = random_truth()
    score = random_scores(truth).round(2)
    expected = localisation_scores(score, truth).per_class()
    order = np.random.default_rng(2).permutation(len(truth))
    place = np.argsort(order)
    pairs = np.random.default_rng(3).permutation(len(truth.clip))
    padded = np.concatenate([truth.shows, np.ones_like(truth.shows)], 1)
    moved = FrameTruth(truth.lengths[order], place[truth.clip][pairs], truth.label[pairs], padded[pairs], K)
    split = np.split(score, np.cumsum(truth.lengths)[:-1])
    found = localisation_scores(np.concatenate([split[n] for n in order]), moved).per_class()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, err_msg=name)


def test_nothing_to_score_is_none() -> None:
    nothing = FrameTruth(np.array([3, 2]), np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), bool), K)
    summary = localisation_scores(np.zeros((5, K)), nothing).summary()
    assert set(summary.values()) == {None}
    json.dumps(summary, allow_nan=False)


def test_scores_of_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^score must be \[\d+, 5\], the frames of the truth, got \[3, 5\]"):
        localisation_scores(np.zeros((3, K)), random_truth())


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
def test_scores_outside_of_0_to_1_are_refused(value: float, explicit: bool) -> None:
    truth = random_truth(explicit=explicit)
    score = random_scores(truth)
    score[7, 2] = value
    with pytest.raises(ValueError, match=rf"^expected scores in \[0, 1\], found {value} at frame 7, class 2"):
        localisation_scores(score, truth)


def test_the_examples_run() -> None:
    assert doctest.testmod(localisation, extraglobs={"np": np}).failed == 0
