"""Strong labels that `audiobag-prepare strong=` adds to stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from audiobag.data.store import open_store
from audiobag.data.strong import has_strong_labels, strong_labels
from audiobag.prepare import add_strong_labels
from tests.commands import run_command
from tests.conftest import make_store

HEAD = "video_id,start_seconds,end_seconds,label\n"


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    folder = tmp_path / "stores"
    make_store(folder / "bal_train.h5", prefix="train")
    make_store(folder / "eval.h5", prefix="eval", seed=1)
    return folder


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    rows = "eval000003,0.5,1.5,class 2\neval000003,0,9,sneeze\neval000001,0,1,class 0\nelsewhere,0,1,class 0\n"
    path.write_text(HEAD + rows)
    return path


def test_a_store_keeps_the_strong_labels_of_its_clips(stores: Path, events: Path) -> None:
    before = open_store(stores / "eval.h5")
    expected = strong_labels(before, events)
    assert not has_strong_labels(before)
    added = add_strong_labels(stores, events)
    assert added.added == {"eval"}
    store = open_store(stores / "eval.h5")
    found = strong_labels(store)
    assert (found.rows.tolist(), found.counts) == (expected.rows.tolist(), expected.counts)
    for name in ("clip", "label", "shows"):
        np.testing.assert_array_equal(getattr(found.truth, name), getattr(expected.truth, name))
    assert store.content_sha256 == before.content_sha256
    np.testing.assert_array_equal(store.frames, before.frames)
    assert not has_strong_labels(open_store(stores / "bal_train.h5"))


def test_the_same_file_is_added_once_and_another_replaces_it(stores: Path, events: Path, tmp_path: Path) -> None:
    add_strong_labels(stores, events)
    written = (stores / "eval.h5").stat()
    again = add_strong_labels(stores, events)
    assert again.added == frozenset()
    assert (stores / "eval.h5").stat().st_ino == written.st_ino
    console = Console(record=True, width=200)
    console.print(again)
    assert console.export_text() == (
        "eval: strong labels of 2 clips, 2 events, which it had already; left out: 1 clips that the store does not"
        " have, 1 events of 1 unknown labels\n"
    )
    ontology = tmp_path / "ontology.json"
    ontology.write_text(json.dumps([{"id": "class 4", "child_ids": ["sneeze"]}]))
    assert add_strong_labels(stores, events, ontology).counts["eval"]["events"] == 3
    assert set(strong_labels(open_store(stores / "eval.h5")).truth.label.tolist()) == {0, 2, 4}


def test_explicit_negatives_are_kept(stores: Path, tmp_path: Path) -> None:
    framed = tmp_path / "framed.csv"
    framed.write_text(
        HEAD.replace("label", "label,present") + "eval000003,0,1,class 2,PRESENT\neval000003,1,9,class 2,NOT_PRESENT\n"
    )
    add_strong_labels(stores, framed)
    truth = strong_labels(open_store(stores / "eval.h5")).truth
    assert truth.known is not None
    assert truth.valid.sum() > truth.shows.sum() == 1


def test_a_reader_of_the_store_is_not_disturbed(stores: Path, events: Path) -> None:
    reading = open_store(stores / "eval.h5")
    frames = reading.frames.copy()
    add_strong_labels(stores, events)
    np.testing.assert_array_equal(reading.frames, frames)
    assert sorted(path.name for path in stores.iterdir()) == [".prepare.lock", "bal_train.h5", "eval.h5"]


def test_events_of_other_clips_are_refused(stores: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(HEAD + "elsewhere,0,1,class 0\n")
    with pytest.raises(ValueError, match=r"^strong must be about clips of .*bal_train\.h5, .*eval\.h5, got .* 1 other"):
        add_strong_labels(stores, path)
    with pytest.raises(ValueError, match=r"^strong must be about clips of a store in "):
        add_strong_labels(tmp_path / "nowhere", path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("clip", np.array([0, 2])),
        ("label", np.array([0, 7])),
        ("label", np.array([0.0, 1.0])),
        ("end", np.array([-1.0, 2.0])),
        ("rows", np.array([3, 1])),
        ("start", np.array([0.0])),
        ("present", np.array([1, 1])),
        ("event", np.array([[0, 1]])),
    ],
)
def test_damaged_labels_are_refused(stores: Path, events: Path, name: str, values: NDArray[Any]) -> None:
    add_strong_labels(stores, events)
    with h5py.File(stores / "eval.h5", "r+") as file:
        del file["strong"][name]
        file["strong"][name] = values
    with pytest.raises(ValueError, match=r"eval\.h5 has damaged strong labels.*: add them again"):
        strong_labels(open_store(stores / "eval.h5"))


def test_a_link_to_another_file_is_refused(stores: Path, events: Path) -> None:
    add_strong_labels(stores, events)
    with h5py.File(stores / "eval.h5", "r+") as file:
        del file["strong"]["event"]
        file["strong"]["event"] = h5py.ExternalLink("bal_train.h5", "label_offsets")
    with pytest.raises(ValueError, match=r"damaged strong labels \(/event is a link"):
        strong_labels(open_store(stores / "eval.h5"))


def test_something_else_of_that_name_is_refused(stores: Path, events: Path) -> None:
    add_strong_labels(stores, events)
    with h5py.File(stores / "eval.h5", "r+") as file:
        del file["strong"]
        file["strong"] = np.arange(3)
    with pytest.raises(ValueError, match="has damaged strong labels"):
        strong_labels(open_store(stores / "eval.h5"))


def test_the_command_adds_them_to_new_and_to_existing_stores(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "eval.npz",
        frames=np.ones((8, 5), np.float32),
        lengths=np.array([3, 3, 2]),
        labels=np.ones((3, 2), np.bool_),
        class_names=np.array(["cat", "dog"]),
        video_id=np.array(["a", "b", "c"]),
    )
    (tmp_path / "events.csv").write_text(HEAD + "b,0,1,Dog\n")
    (tmp_path / "others.csv").write_text(HEAD + "z,0,1,dog\n")
    options = ("source=eval.npz", "out=out")
    done = run_command("prepare", *options, "strong=events.csv", cwd=tmp_path)
    assert (done.returncode, "eval: strong labels of 1 clips, 1 events" in done.stderr) == (0, True)
    again = run_command("prepare", *options, "strong=events.csv", cwd=tmp_path)
    assert (again.returncode, "which it had already" in again.stderr) == (0, True)
    refused = run_command("prepare", *options, "strong=others.csv", cwd=tmp_path)
    assert refused.returncode == 2
    assert "audiobag: strong must be about clips of out/eval.h5, got others.csv" in refused.stderr
    assert strong_labels(open_store(tmp_path / "out" / "eval.h5")).truth.shows.tolist() == [[True, False, False]]
