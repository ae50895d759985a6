"""Folders of .npy files, Parquet, and data sets of Hugging Face on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiobag.data.store import Store, open_store
from audiobag.prediction import open_clips
from audiobag.prepare import prepare

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def content(store: Store) -> dict[str, tuple[list[list[float]], list[str]]]:
    """Return frames and labels by the name of each clip."""
    columns, names = store.columns, store.description.class_names
    return {
        video_id.decode(): (
            store.frames[columns.offsets[i] : columns.offsets[i + 1]].tolist(),
            [names[k] for k in columns.label_ids[columns.label_offsets[i] : columns.label_offsets[i + 1]]],
        )
        for i, video_id in enumerate(columns.video_id)
    }


def folder(path: Path, rows: Sequence[tuple[str, Any, str, str]]) -> Path:
    path.mkdir()
    for name, array, _, _ in rows:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(path / name, array)
    lines = [f"{name},{label},{split}" for name, _, label, split in rows]
    (path / "labels.csv").write_text("\n".join(["file,label,split", *lines]))
    return path


def test_a_folder_of_arrays_and_a_csv_become_stores(tmp_path: Path) -> None:
    rows = [
        ("a b.npy", np.ones((2, 3), np.float32), "dog", "train"),
        ("x/c.npy", np.zeros(3, np.float64), "cat", "train"),
        ("d.npy", np.full((1, 3), 2, ">f4"), "dog", "test"),
    ]
    prepare(str(folder(tmp_path / "in", rows)), tmp_path / "out")
    train, test = (content(open_store(tmp_path / "out" / f"{name}.h5")) for name in ("bal_train", "eval"))
    assert train == {"a b": ([[1, 1, 1]] * 2, ["dog"]), "x/c": ([[0, 0, 0]], ["cat"])}
    assert test == {"d": ([[2, 2, 2]], ["dog"])}
    clips = list(open_clips(tmp_path / "in"))
    assert [(clip.video_id, len(clip.frames)) for clip in clips] == [(b"a b", 2), (b"d", 1), (b"x/c", 1)]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 2, 2), np.float32), r"it is \[2, 2, 2\], expected \[T, D\] or \[D\]"),
        (np.ones((0, 3), np.float32), r"it is \[0, 3\], expected"),
        (np.ones((2, 4), np.float32), r"it is float32 \[2, 4\], expected float32 \[T, 3\]"),
        (np.ones((2, 3), np.int64), "it is int64, expected uint8"),
        (np.array([[1, np.nan, 1]], np.float32), "NaN or infinity"),
        (np.array(["x"]), "it is <U1, expected uint8"),
        (np.array([{}]), "it cannot be read as an array"),
    ],
)
def test_a_bad_array_is_named(array: Any, message: str, tmp_path: Path) -> None:
    rows = [("a.npy", np.ones((2, 3), np.float32), "x", "eval"), ("b.npy", array, "y", "eval")]
    with pytest.raises(ValueError, match=rf"b\.npy: .*{message}"):
        prepare(str(folder(tmp_path / "in", rows)), tmp_path / "out")
    assert prepare(str(tmp_path / "in"), tmp_path / "out", on_error="skip").rejected == 1


def test_a_folder_of_arrays_needs_one_csv(tmp_path: Path) -> None:
    path = folder(tmp_path / "in", [("a.npy", np.ones((2, 3), np.float32), "x", "eval")])
    (path / "more.csv").write_text("file,label\n")
    with pytest.raises(ValueError, match=r"must have one CSV .* got labels\.csv, more\.csv"):
        prepare(str(path), tmp_path / "out")


VECTORS = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], [[0.5, 0.25]]]
EXPECTED = {"a": (VECTORS[0], ["dog"]), "b": (VECTORS[1], ["cat", "dog"]), "c": (VECTORS[2], [])}


@pytest.mark.parametrize(
    "columns",
    [
        {"video_id": ["a", "b", "c"], "embedding": VECTORS, "labels": [["dog"], ["dog", "cat"], []]},
        {
            "id": ["a", "b", "c"],
            "labels": [["dog"], ["dog", "cat"], None],
            "mine": VECTORS,
            "loudness": [1.0, 2.0, 3.0],
        },
    ],
)
def test_parquet_with_a_column_of_vectors_becomes_stores(columns: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    kind = pa.list_(pa.list_(pa.float32()))
    fields = {name: pa.array(v, kind) if v is VECTORS else pa.array(v) for name, v in columns.items()}
    pq.write_table(pa.table(fields), tmp_path / "in" / "test-00000-of-00001.parquet")
    prepare(str(tmp_path / "in"), tmp_path / "out")
    assert content(open_store(tmp_path / "out" / "eval.h5")) == EXPECTED


def features(names: list[str]) -> dict[bytes, bytes]:
    """Return what `datasets` keeps beside the columns about numbered labels."""
    info = {"features": {"label": {"names": names, "_type": "ClassLabel"}}}
    return {b"huggingface": json.dumps({"info": info}).encode()}


def test_a_data_set_of_hugging_face_on_disk_becomes_stores(tmp_path: Path) -> None:
    table = pa.table(
        {"file": ["a", "b"], "features": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)), "label": [1, 0]}
    )
    table = table.replace_schema_metadata(features(["cat", "dog", "rain"]))
    for split in ("train", "test"):
        (tmp_path / "in" / split).mkdir(parents=True)
        (tmp_path / "in" / split / "state.json").write_text("{}")
        with pa.ipc.new_stream(tmp_path / "in" / split / "data-00000-of-00001.arrow", table.schema) as stream:
            stream.write_table(table)
    (tmp_path / "in" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    prepare(str(tmp_path / "in"), tmp_path / "out")
    for split in ("bal_train", "eval"):
        store = open_store(tmp_path / "out" / f"{split}.h5")
        assert store.description.class_names == ("cat", "dog", "rain")
        assert content(store) == {"a": ([[1, 2]], ["dog"]), "b": ([[3, 4]], ["cat"])}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"], "labels": [["x"]]}, "must have one column of vectors .* got id, labels"),
        ({"id": ["a"], "v": [[1.0]], "w": [[1.0]], "labels": [["x"]]}, "must have one column of vectors"),
        ({"id": ["a"], "embedding": [[1.0]]}, "must have a column of labels"),
        ({"id": ["a", "b"], "embedding": [[1.0], None], "label": ["x", "x"]}, "record 2: b: its vectors are null"),
        (
            {"id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]], "label": ["x", "x"]},
            r"b: it is float32 \[1, 2\], expected",
        ),
        ({"id": ["a", "b"], "embedding": [[1.0], [float("nan")]], "label": ["x", "x"]}, "b: it contains NaN"),
        ({"id": ["a", "a"], "embedding": [[1.0], [1.0]], "label": ["x", "x"]}, "repeated video id a"),
        ({"id": ["a"], "embedding": [[1.0]], "label": [1.5]}, "label 1.5 is neither a text nor a whole number"),
        ({"id": ["a", "b"], "embedding": [[1.0], [1e300]], "label": ["x", "x"]}, "b: it contains NaN or infinity"),
    ],
)
def test_a_bad_table_is_named(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "eval.parquet")
    with pytest.raises(ValueError, match=message):
        prepare(str(tmp_path / "eval.parquet"), tmp_path / "out")


def test_rows_without_an_id_have_a_number(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", None, None], "embedding": [[1.0]] * 3, "label": ["x"] * 3})
    pq.write_table(table, tmp_path / "eval.parquet")
    prepare(str(tmp_path / "eval.parquet"), tmp_path / "out")
    assert list(content(open_store(tmp_path / "out" / "eval.h5"))) == ["a", "eval-0000002", "eval-0000003"]


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    """macOS leaves `._x.npy` beside `x.npy` on other file systems."""
    folder(tmp_path / "vectors", [("a.npy", np.ones((2, 3), np.float32), "x", "eval")])
    (tmp_path / "vectors" / "._a.npy").write_bytes(b"\0\5\x16\7")
    assert [clip.video_id for clip in open_clips(tmp_path / "vectors")] == [b"a"]
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), tmp_path / "tables" / "eval.parquet")
    (tmp_path / "tables" / "._eval.parquet").write_bytes(b"\0\5\x16\7")
    assert [clip.video_id for clip in open_clips(tmp_path / "tables")] == [b"a"]


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "eval.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ValueError, match=r"eval\.parquet cannot be read"):
        prepare(str(tmp_path / "eval.parquet"), tmp_path / "out")
