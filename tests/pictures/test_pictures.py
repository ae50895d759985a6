from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve as sklearn_curve

from audiobag.pictures.classes import ap_against_frequency, precision_recall
from audiobag.pictures.clips import clip_picture, draw_clips
from audiobag.pictures.curves import precision_recall_curve, spread
from audiobag.utils.plotting import cut, group_medians, png

NAMES = ("Speech", "Music", "Dog", "Bell", "$x_")
F = np.array([0.1, 0.9, 0.4, 0.2, 0.3])


def frames(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((6, 5))


def test_a_clip_picture_has_the_likeliest_and_the_true_classes_sorted_by_probability() -> None:
    picture = clip_picture("clip", NAMES, F, frames(0), frames(1), seconds=1.0, labels=[0], also=[3], count=2)
    assert picture.classes == ("Music", "Dog", "Bell", "Speech")
    assert picture.clip.tolist() == [0.9, 0.4, 0.2, 0.1]
    assert picture.true == (False, False, False, True)
    assert (picture.frame == frames(0)[:, [1, 2, 3, 0]].T).all()
    assert (picture.measure == frames(1)[:, [1, 2, 3, 0]].T).all()


def test_panels_show_what_the_model_has() -> None:
    f, p = frames(0), frames(1) / frames(1).sum(0)
    of_expectation = clip_picture("a", NAMES, (f * p).sum(0), f, p, seconds=1.0)
    of_others = clip_picture("b", NAMES, F, f, p, seconds=1.0)
    without = clip_picture("c", NAMES, F, f, None, seconds=1.0)
    titles = [[title for title, *_ in picture.panels()] for picture in (of_expectation, of_others, without)]
    assert titles[0] == ["frame probability f", "measure p", "f p, which sums to F"]
    assert titles[1:] == [titles[0][:2], titles[0][:1]]
    for rows in ([without], [of_others, without], [without, of_expectation]):
        figure = draw_clips(rows)
        assert png(figure).startswith(b"\x89PNG")
        shown = [axes for axes in figure.axes if axes.get_title(loc="left") and axes.get_visible()]
        assert len(shown) == sum(len(picture.panels()) for picture in rows)
    assert [a.get_xlabel() for a in draw_clips([without, without]).axes[:2]] == ["", "seconds"]


def test_a_clip_picture_without_labels_has_no_true_classes() -> None:
    assert clip_picture("clip", NAMES, F, frames(0), frames(1), seconds=1.0).true == ()


def test_a_clip_picture_has_forty_classes_at_most() -> None:
    many = np.linspace(0, 1, 60)
    values = np.zeros((3, 60))
    picture = clip_picture("clip", [str(k) for k in range(60)], many, values, values, seconds=1.0, labels=range(60))
    assert len(picture.classes) == 40


@pytest.mark.parametrize("values", [1000, 4], ids=["distinct", "ties"])
def test_precision_and_hits_are_those_of_scikit_learn(values: int) -> None:
    rng = np.random.default_rng(values)
    score = rng.integers(0, values, 200).astype(np.float32)
    label = rng.random(200) < 0.2
    precision, hits = precision_recall_curve(score, label)
    expected, recall, _ = sklearn_curve(label, score)
    np.testing.assert_allclose(precision[::-1], expected[:-1])
    np.testing.assert_allclose(hits[::-1] / label.sum(), recall[:-1])


def test_classes_are_spread_from_the_most_frequent_to_the_rarest() -> None:
    assert spread(np.arange(32)[::-1], np.ones(32, bool)) == [0, 1, 3, 7, 15, 31]
    clips = np.array([5, 1000, 20, 1, 300])
    assert spread(clips, np.array([True, False, True, False, False])) == [2, 0]
    assert spread(clips, np.zeros(5, bool)) == []


def test_medians_of_groups_of_rising_frequency() -> None:
    x, y = np.array([100.0, 1, 10, 1000]), np.array([3.0, 1, 5, 4])
    assert group_medians(x, y, 2) == pytest.approx(np.array([[10**0.5, 3], [10**2.5, 3.5]]))
    assert group_medians(x, y, 10).shape == (4, 2)


def drawn() -> list[Figure]:
    rng = np.random.default_rng(0)
    picture = clip_picture("clip $x_", NAMES, F, frames(0), frames(1), seconds=1.0, labels=[4])
    probability, positive = rng.random((40, 5), dtype=np.float32), rng.random((40, 5)) < 0.3
    clips, AP = np.array([9, 4, 0, 2, 1]), np.array([0.5, 0.2, np.nan, 0.9, 0.1])
    return [
        draw_clips([picture, picture]),
        precision_recall(probability, positive, NAMES, clips, AP),
        ap_against_frequency(AP, clips, NAMES),
        ap_against_frequency(np.full(5, np.nan), clips, NAMES),
    ]


def test_figures_are_drawn_for_names_that_look_like_formulas() -> None:
    for figure in drawn():
        assert png(figure).startswith(b"\x89PNG")


def test_long_texts_are_cut() -> None:
    assert cut("two\nlines") == "two lines"
    assert cut("a" * 29) == "a" * 27 + "…"
