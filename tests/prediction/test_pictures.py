"""`predict_to_pictures`: which clips are drawn, what the pictures show, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiobag.data.store import Store
from audiobag.export import load
from audiobag.prediction import Outcome, pictures, predict_to_pictures
from audiobag.report.clip_selection import class_index, clip_loss, highest
from tests.conftest import make_store
from tests.export.fabricate import make_run
from tests.prediction.test_predict import bare

PNG = b"\x89PNG\r\n\x1a\n"
Run = Callable[..., tuple[Outcome, list[Any]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    return make_run(tmp_path_factory.mktemp("pictures") / "run")


@pytest.fixture
def run(made: tuple[Path, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that draws pictures and returns what was written and what was drawn."""
    drawn: list[Any] = []

    def call(source: Path | None = None, **options: Any) -> tuple[Outcome, list[Any]]:
        drawn.clear()
        return predict_to_pictures(made[0], source or made[1].path, tmp_path / "pictures", **options), drawn

    real = pictures.draw_clips
    monkeypatch.setattr(pictures, "draw_clips", lambda clips: drawn.extend(clips) or real(clips))
    return call


@pytest.fixture
def probability(made: tuple[Path, Store]) -> Any:
    store, offsets = made[1], made[1].columns.offsets
    bags = [store.frames[a:b] for a, b in pairwise(offsets)]
    return load(made[0]).predict(bags).clip.numpy()


def test_clips_are_drawn_by_their_ids(run: Run, made: tuple[Path, Store]) -> None:
    done, drawn = run(clips=["clip000007", "clip000003"], top_k=2)
    assert (done.clips, done.pictures) == (2, 2)
    assert sorted(p.name for p in done.out.iterdir()) == ["1-clip000007.png", "2-clip000003.png"]
    assert all(p.read_bytes().startswith(PNG) for p in done.out.iterdir())
    clip = drawn[0]
    store = made[1]
    a, b = store.columns.offsets[7:9]
    predicted = load(made[0]).predict([store.frames[a:b]])
    names = store.description.class_names
    rows = [names.index(c) for c in clip.classes]
    labels = set(np.flatnonzero(store.labels.dense()[7]))
    assert set(rows) == {*predicted.clip[0].argsort(descending=True)[:2].tolist(), *labels}
    assert clip.true == tuple(k in labels for k in rows)
    np.testing.assert_allclose(clip.clip, predicted.clip[0, rows], atol=1e-6)
    np.testing.assert_allclose(clip.frame, predicted.frame[0, :, rows].T, atol=1e-6)
    np.testing.assert_allclose((clip.frame * clip.measure).sum(1), clip.clip, atol=1e-5)
    assert list(clip.clip) == sorted(clip.clip, reverse=True)


def test_without_a_choice_the_first_clips_are_drawn(run: Run) -> None:
    done, drawn = run(batch_size=4)
    assert (done.clips, [d.title for d in drawn]) == (6, [f"clip{i:06d}" for i in range(6)])


def test_for_a_class_the_clips_in_which_it_is_most_likely_are_drawn(run: Run, probability: Any) -> None:
    _, drawn = run(class_name="CLASS 2", at_most=3, top_k=1, batch_size=7)
    assert [d.title for d in drawn] == [f"clip{i:06d}" for i in np.argsort(-probability[:, 2])[:3]]
    assert all("class 2" in d.classes for d in drawn)


def test_the_most_wrong_have_the_largest_loss(run: Run, made: tuple[Path, Store], probability: Any) -> None:
    positive = made[1].labels.dense()
    loss = -np.where(positive, np.log(probability), np.log(1 - probability)).mean(1)
    np.testing.assert_allclose(clip_loss(probability, positive), loss, rtol=1e-5)
    _, drawn = run(most_wrong=True, at_most=4, batch_size=7)
    assert [d.title for d in drawn] == [f"clip{i:06d} - loss {loss[i]:.4f}" for i in np.argsort(-loss)[:4]]


def test_misses_and_false_alarms_of_a_class_alternate(run: Run, made: tuple[Path, Store], probability: Any) -> None:
    _, drawn = run(class_name="class 2", most_wrong=True, at_most=4, batch_size=7)
    has, score = made[1].labels.dense()[:, 2], probability[:, 2]
    missed, alarms = highest(-score, has, 2), highest(score, ~has, 2)
    order = [missed[0], alarms[0], missed[1], alarms[1]]
    assert [d.title.split()[0] for d in drawn] == [f"clip{i:06d}" for i in order]
    assert [d.title.split(" - ")[1] for d in drawn] == ["missed: class 2", "false alarm: class 2"] * 2


def test_unlabelled_clips_are_drawn_without_ticks_at_their_start_time(
    run: Run, made: tuple[Path, Store], tmp_path: Path
) -> None:
    source = bare(made[1], tmp_path / "mine.npz", start_seconds=np.full(40, 30.0), frame_seconds=0.5)
    _, drawn = run(source, at_most=1, top_k=2)
    assert (drawn[0].true, drawn[0].start, drawn[0].seconds, len(drawn[0].classes)) == ((), 30, 0.5, 2)


def test_names_and_ids_with_markup_are_drawn_as_text(run: Run, made: tuple[Path, Store], tmp_path: Path) -> None:
    source = bare(
        made[1], tmp_path / "mine.npz", video_id=np.array([f"$\\x^{i}$/../\u4e2d".encode() for i in range(40)])
    )
    done, _ = run(source, at_most=2)
    assert [p.parent for p in done.out.iterdir()] == [done.out] * 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"clips": ["clip000001", "nobody"]}, "has the id 'nobody'"),
        ({"class_name": "clas 2"}, "class_name has 'clas 2', which is none of the 5 classes: did you mean 'class 2'"),
        ({"clips": []}, r"clips must have at least one video id, got \[\]"),
        ({"clips": ["clip000001"], "most_wrong": True}, "clips cannot be combined with class_name or most_wrong"),
        ({"at_most": 0}, "at_most must be a whole number of at least 1, got 0"),
        ({"top_k": None}, "top_k must be at most 30 for pictures, got null"),
        ({"top_k": 31}, "top_k must be at most 30 for pictures, got 31"),
    ],
)
def test_refusals_leave_nothing(run: Run, tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(**options)
    assert not list(tmp_path.glob("*pictures*"))


@pytest.mark.parametrize("names", [None, [f"class {k}" for k in range(5)]])
def test_the_most_wrong_of_unlabelled_clips_are_refused(
    run: Run, made: tuple[Path, Store], tmp_path: Path, names: list[str] | None
) -> None:
    source = bare(made[1], tmp_path / "mine.npz", **({} if names is None else {"class_names": names}))
    with pytest.raises(ValueError, match="most_wrong needs labels of the model's classes"):
        run(source, most_wrong=True)


def test_a_class_in_another_case_is_found_if_it_is_unique() -> None:
    assert class_index(["dog", "Dog", "Cat"], "Dog", "class") == 1
    assert class_index(["dog", "Dog", "Cat"], "cat", "class") == 2
    with pytest.raises(ValueError, match="did you mean"):
        class_index(["dog", "Dog", "Cat"], "DOG", "class")


def test_a_store_of_other_classes_counts_as_unlabelled(run: Run, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other.h5", classes=7)
    with pytest.raises(ValueError, match="most_wrong needs labels"):
        run(other.path, most_wrong=True)
