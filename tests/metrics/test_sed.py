"""PSDS and intersection-based F1, which sed_scores_eval computes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiobag.metrics import sed
from audiobag.metrics.sed import check_sed, event_scores
from audiobag.training import evaluate
from tests.composing import trained

LENGTHS = np.array([10, 1, 4, 10])
EVENTS = [(0, 0, 2.0, 5.0), (0, 0, 4.0, 7.0), (0, 2, 0.0, 10.0), (1, 0, 0.0, 1.0), (3, 2, 3.0, 4.0), (3, 2, 8.0, 10.0)]
"""Clip, class, start and end; two events of class 0 overlap, class 1 has none, and clip 2 has none."""


def usable() -> bool:
    try:
        check_sed()
    except ValueError:
        return False
    return True


installed = pytest.mark.skipif(not usable(), reason="needs the extra [sed]")


def truth(classes: int = 3) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return [F, K], 1 in the frames of the events."""
    first = np.cumsum(LENGTHS) - LENGTHS
    table = np.zeros((LENGTHS.sum(), classes))
    for clip, label, start, end in EVENTS:
        table[first[clip] + int(start) : first[clip] + int(end), label] = 1
    return table


@installed
def test_a_score_that_is_high_in_the_events_alone_is_perfect() -> None:
    found = event_scores(0.1 + 0.8 * truth(), LENGTHS, EVENTS, 1.0)
    assert found.summary == pytest.approx({"PSDS1": 1.0, "PSDS2": 1.0, "intersection_F1": 1.0})
    for values in found.per_class.values():
        np.testing.assert_allclose(values, [1.0, np.nan, 1.0])


@installed
def test_times_count_for_psds_1_and_classes_for_psds_2() -> None:
    """The right clip at wrong times: all of its frames are as likely."""
    first = np.cumsum(LENGTHS) - LENGTHS
    clips = np.repeat(np.maximum.reduceat(truth(), first), LENGTHS, axis=0)
    found = event_scores(clips, LENGTHS, EVENTS, 1.0)
    assert found.per_class["PSDS2"][2] == pytest.approx(1.0)
    assert found.per_class["PSDS1"][2] < 0.6
    assert found.summary["PSDS1"] < found.summary["PSDS2"]


@installed
def test_frames_of_half_a_second() -> None:
    halves = [(clip, label, start / 2, end / 2) for clip, label, start, end in EVENTS]
    found = event_scores(truth(), LENGTHS, halves, 0.5)
    assert found.summary["intersection_F1"] == pytest.approx(1.0)


@installed
def test_without_events_there_is_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="events must have at least one event, got none"):
        event_scores(truth(), LENGTHS, [], 1.0)


@installed
def test_an_evaluation_has_them_beside_the_scores_of_frames(data: Path, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "video_id,start_seconds,end_seconds,label\nclip000000,0,1,class 0\nclip000001,0,0.7,class 3\n"
    )
    run = trained(data, tmp_path / "run", "pooling=attention_sigmoid").path
    record = evaluate(run, tmp_path / "out", strong=tmp_path / "events.csv", psds=True)["localisation"]
    for kind in ("f", "fp", "F"):
        assert 0 <= record[kind]["PSDS1"] <= 1
        assert 0 <= record[kind]["intersection_F1"] <= 1
    assert "PSDS1" not in record["p"]
    assert "f.PSDS2" in (tmp_path / "out" / "localisation.csv").read_text().partition("\n")[0]


def test_a_missing_extra_is_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(data, tmp_path / "run", "pooling=max").path
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^psds needs the package sed_scores_eval.*pip install 'audiobag\[sed\]'"):
        evaluate(run, tmp_path / "out", psds=True)


def test_a_pandas_that_the_package_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(sed, "version", lambda name: "3.1.1")
    with pytest.raises(ValueError, match=r"^psds needs pandas below version 3, got 3\.1\.1"):
        check_sed()


@installed
@pytest.mark.parametrize("framed", [False, True])
def test_labels_that_are_not_complete_are_refused(framed: bool, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "video_id,start_seconds,end_seconds,label,present\nclip000000,0,1,class 0,PRESENT\n"
        "clip000000,1,2,class 0,NOT_PRESENT\n"
    )
    run = trained(data, tmp_path / "run", "pooling=max").path
    said = "explicit negatives" if framed else "strong labels, which the eval set does not have"
    with pytest.raises(ValueError, match=rf"^psds needs .*{said}"):
        evaluate(run, tmp_path / "out", strong=path if framed else None, psds=True)
