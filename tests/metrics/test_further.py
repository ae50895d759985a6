"""Scores beside the headline ones, against scikit-learn and their definitions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, precision_recall_curve

from audiobag.metrics import best_f1, class_distances, further_scores, lwlrap, micro_average_precision
from audiobag.metrics.ontology import ontology_average_precision
from tests.metrics.test_tagging_scores import KINDS, random_clips
from tests.oracles import metrics as oracle

CHAIN = [("a", ["b", "c"]), ("b", ["d"]), ("c", []), ("d", []), ("e", ["d"])]


def ontology(path: Path, entries: list[tuple[str, list[str]]]) -> Path:
    path.write_text(json.dumps([{"id": name, "child_ids": children} for name, children in entries]))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scikit_learn(kind: str) -> None:
    probability, labels = random_clips()
    labels[:5] = False
    labels[7] = True
    probability = KINDS[kind](probability)
    score, truth = probability.double().numpy(), labels.numpy()
    expected = label_ranking_average_precision_score(truth, score, sample_weight=truth.sum(1))
    assert lwlrap(probability, labels) == pytest.approx(expected, abs=1e-12)
    expected = average_precision_score(truth, score, average="micro")
    assert micro_average_precision(probability, labels) == pytest.approx(expected, abs=1e-12)
    for k, found in enumerate(best_f1(probability, labels).tolist()):
        precision, recall, _ = precision_recall_curve(truth[:, k], score[:, k])
        expected = (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max()
        assert found == pytest.approx(expected, abs=1e-12)


def test_classes_that_cannot_be_scored_have_no_f1_and_the_mean_leaves_them_out() -> None:
    probability, labels = random_clips(classes=4)
    labels[:, 1], labels[:, 3] = False, True
    found = best_f1(probability, labels)
    assert found.isnan().tolist() == [False, True, False, True]
    assert further_scores(probability, labels)["best_F1"] == pytest.approx(found[::2].mean().item())


def test_undefined_scores_are_none() -> None:
    nothing = further_scores(torch.rand(4, 3), torch.zeros(4, 3, dtype=torch.bool), np.ones((3, 3), np.int16))
    assert nothing == {"lwlrap": None, "micro_mAP": None, "best_F1": None, "OmAP": None}
    assert further_scores(torch.rand(0, 3), torch.zeros(0, 3, dtype=torch.bool))["lwlrap"] is None


def test_distances_are_the_links_between_classes(tmp_path: Path) -> None:
    path = ontology(tmp_path / "ontology.json", CHAIN)
    found = class_distances(path, ["c", "d", "a", "e"])
    assert found.tolist() == [[0, 3, 1, 4], [3, 0, 2, 1], [1, 2, 0, 3], [4, 1, 3, 0]]
    with pytest.raises(ValueError, match=r"^ontology .* lacks 1 of the classes, the first is 'x'"):
        class_distances(path, ["a", "x"])
    apart = ontology(tmp_path / "apart.json", [("a", ["b"]), ("c", [])])
    with pytest.raises(ValueError, match=r"^ontology .* has no path from a to c"):
        class_distances(apart, ["a", "c"])
    (tmp_path / "other.json").write_text('{"a": 1}')
    for other, wrong in (("other.json", ".* is not a list of id"), ("missing.json", "must be a file")):
        with pytest.raises(ValueError, match=rf"^ontology {wrong}"):
            class_distances(tmp_path / other, ["a"])


@pytest.mark.parametrize("kind", ["distinct", "three values", "all tied"])
def test_ontology_average_precision_equals_its_definition(kind: str) -> None:
    probability, labels = random_clips(clips=40, classes=5)
    labels[3] = False
    labels[:, 4] = False
    probability = KINDS[kind](probability)
    distance = np.abs(np.subtract.outer([0, 1, 3, 6, 4], [0, 1, 3, 6, 4])).astype(np.int16)
    expected = oracle.ontology_average_precision(probability.double().numpy(), labels.numpy(), distance)
    assert ontology_average_precision(probability, labels, distance) == pytest.approx(expected, abs=1e-12)


def test_mistakes_between_related_classes_cost_less() -> None:
    labels = torch.eye(4, dtype=torch.bool).repeat_interleave(5, 0)
    distance = np.array([[0, 1, 6, 6], [1, 0, 6, 6], [6, 6, 0, 1], [6, 6, 1, 0]], np.int16)
    base = torch.full((20, 4), 0.1)
    near, far = base.clone(), base.clone()
    for k, (sibling, stranger) in enumerate([(1, 2), (0, 3), (3, 0), (2, 1)]):
        near[labels[:, k], sibling] = far[labels[:, k], stranger] = 0.9
        near[labels[:, k], k] = far[labels[:, k], k] = 0.5
    assert ontology_average_precision(near, labels, distance) > ontology_average_precision(far, labels, distance)
    assert not math.isnan(ontology_average_precision(far, labels, distance))
