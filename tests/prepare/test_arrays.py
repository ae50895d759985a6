from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from audiobag.data.store import open_store
from audiobag.prepare import arrays
from tests.prepare.conftest import Prepare

LENGTHS = np.array([3, 1, 2])


def save(path: Path, content: dict[str, Any]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **content)
    else:
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                file[name] = value
    return path


def own(dtype: str = "float32", dim: int = 5, **changes: Any) -> dict[str, Any]:
    frames = np.random.default_rng(0).integers(0, 100, (6, dim)).astype(dtype)
    labels = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    content = {"frames": frames, "lengths": LENGTHS, "labels": labels, **changes}
    return {name: value for name, value in content.items() if value is not None}


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".npz"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("dim", [1, 2048])
def test_own_embeddings_are_stored(tmp_path: Path, run: Prepare, suffix: str, dtype: str, dim: int) -> None:
    content = own(dtype, dim)
    (split,) = run(save(tmp_path / f"train{suffix}", content)).splits
    store = open_store(tmp_path / "out" / "train.h5")
    assert (split.name, split.clips, split.positives, split.without_positives) == ("train", 3, 3, ("class 2",))
    assert store.frames.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(store.frames, content["frames"])
    np.testing.assert_array_equal(store.columns.lengths, LENGTHS)
    np.testing.assert_array_equal(store.columns.label_ids, [1, 3, 0])
    np.testing.assert_array_equal(store.columns.video_id, [b"0", b"1", b"2"])
    assert np.isnan(store.columns.start_seconds).all()
    dequantised = (1 / 128, -1.0) if dtype == "uint8" else (1.0, 0.0)
    assert (store.description.scale, store.description.offset) == dequantised


def test_all_optional_arrays_of_own_embeddings_are_stored(tmp_path: Path, run: Prepare) -> None:
    content = own(
        lengths=None,
        offsets=np.array([0, 3, 4, 6]),
        labels=None,
        label_ids=np.array([2, 0, 2, 1]),
        label_offsets=np.array([0, 3, 3, 4]),
        video_id=np.array([b"c", b"a", b"b"]),
        start_seconds=np.array([1.0, 2.0, 3.0]),
        end_seconds=np.array([4.0, 5.0, 6.0]),
        class_names=np.array(["Hähnchen", "b", "c"], dtype=h5py.string_dtype()),
        class_mids=np.array([b"/m/1", b"/m/2", b"/m/3"]),
        frame_seconds=0.5,
        scale=2.0,
        offset=3.0,
    )
    run(save(tmp_path / "train.h5", content))
    store = open_store(tmp_path / "out" / "train.h5")
    np.testing.assert_array_equal(store.columns.video_id, [b"a", b"b", b"c"])
    np.testing.assert_array_equal(store.frames, content["frames"][[3, 4, 5, 0, 1, 2]])
    np.testing.assert_array_equal(store.columns.label_ids, [1, 0, 2])
    np.testing.assert_array_equal(store.columns.label_offsets, [0, 0, 1, 3])
    np.testing.assert_array_equal(store.columns.start_seconds, [2, 3, 1])
    np.testing.assert_array_equal(store.columns.end_seconds, [5, 6, 4])
    description = store.description
    assert description.class_names == ("Hähnchen", "b", "c")
    assert description.class_mids == ("/m/1", "/m/2", "/m/3")
    assert (description.frame_seconds, description.scale, description.offset) == (0.5, 2.0, 3.0)


def test_numbers_may_be_attributes_of_the_file(tmp_path: Path, run: Prepare) -> None:
    path = save(tmp_path / "train.h5", own("uint8"))
    with h5py.File(path, "a") as file:
        file.attrs.update(scale=1.0, offset=0.0, frame_seconds=0.96)
    run(path)
    description = open_store(tmp_path / "out" / "train.h5").description
    assert (description.frame_seconds, description.scale, description.offset) == (0.96, 1.0, 0.0)


@pytest.mark.parametrize("turn", [np.asfortranarray, lambda x: x.astype(">f4")], ids=["columns first", "big-endian"])
def test_memory_layout_does_not_change_the_store(tmp_path: Path, run: Prepare, turn) -> None:
    content = own(dim=3)
    run(save(tmp_path / "train.npz", content), tmp_path / "a")
    run(save(tmp_path / "train.npz", content | {"frames": turn(content["frames"])}), tmp_path / "b")
    a, b = (open_store(tmp_path / out / "train.h5") for out in "ab")
    assert a.content_sha256 == b.content_sha256


def test_block_size_does_not_change_the_store(tmp_path: Path, run: Prepare, monkeypatch) -> None:
    path = save(tmp_path / "train.h5", own())
    found = set()
    for size in (1, 50, 2**20):
        monkeypatch.setattr(arrays, "BLOCK_BYTES", size)
        run(path, force=True)
        found.add(open_store(tmp_path / "out" / "train.h5").content_sha256)
    assert len(found) == 1


def test_each_file_in_a_folder_is_a_split(tmp_path: Path, run: Prepare) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    save(folder / "train.npz", own())
    save(folder / "test.h5", own())
    assert [split.name for split in run(folder).splits] == ["test", "train"]
    save(folder / "train.h5", own())
    with pytest.raises(ValueError, match="several files named train"):
        run(folder)


def test_a_store_never_overwrites_its_source(tmp_path: Path, run: Prepare) -> None:
    path = save(tmp_path / "train.h5", own())
    content = path.read_bytes()
    with pytest.raises(ValueError, match="would overwrite its own source"):
        run(path, tmp_path)
    assert path.read_bytes() == content


def packed(n: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.integers(0, 256, (n, 10, 128), dtype=np.uint8),
        "y": rng.random((n, 527)) < 0.01,
        "video_id_list": np.array([f"video{n - i:06}".encode() for i in range(n)]),
    }


def test_the_authors_packed_file_is_stored(tmp_path: Path, run: Prepare) -> None:
    content = packed()
    (split,) = run(save(tmp_path / "bal_train.h5", content)).splits
    store = open_store(tmp_path / "out" / "bal_train.h5")
    assert split.frames_per_clip == ((10, 10, 4),)
    np.testing.assert_array_equal(store.frames, content["x"][::-1].reshape(-1, 128))
    np.testing.assert_array_equal(store.columns.label_ids, np.nonzero(content["y"][::-1])[1])
    np.testing.assert_array_equal(store.columns.video_id, content["video_id_list"][::-1])
    assert np.isnan(store.columns.start_seconds).all()
    assert len(store.description.class_names) == 527


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"frames": np.zeros((6, 5))}, "frames is float64, expected uint8 or float16 or float32"),
        ({"frames": np.zeros(6, np.float32)}, r"frames is \[6\], expected \[F, D\]"),
        ({"lengths": None}, "neither lengths nor offsets"),
        ({"lengths": np.array([3, 1, 3])}, r"lengths spans 0\.\.7, expected 0\.\.6"),
        ({"lengths": np.array([3, -1, 4])}, "lengths decreases"),
        ({"lengths": np.array([3.0, 1, 2])}, "lengths is float64"),
        ({"lengths": None, "offsets": np.array([1, 3, 6])}, r"offsets spans 1\.\.6, expected 0\.\.6"),
        ({"labels": None}, "no labels"),
        ({"labels": np.zeros((2, 4))}, r"labels is \[2, 4\], expected \[3, K\]"),
        ({"class_names": np.array([b"a"])}, r"labels is \[3, 4\], expected \[3, 1\]"),
        ({"video_id": np.array([b"a"])}, r"video_id is \[1\], expected \[3\]"),
        ({"scale": np.nan}, "scale is nan, expected a finite number other than 0"),
        ({"scale": 0}, "scale is 0.0, expected a finite number other than 0"),
        ({"scale": 1e-60}, "scale is 1e-60, expected a finite number other than 0"),  # 0 as float32
        ({"offset": -np.inf}, "offset is -inf, expected a finite number"),
        ({"frame_seconds": 0}, "frame_seconds is 0.0, expected a number of seconds above 0"),
        ({"frame_seconds": -1}, "frame_seconds is -1.0, expected a number of seconds above 0"),
        ({"frame_seconds": np.inf}, "frame_seconds is inf, expected a number of seconds above 0"),
        ({"frame_seconds": np.ones(3)}, r"frame_seconds is \[1. 1. 1.\], expected one number"),
        ({"frame_seconds": np.array(b"1 s")}, "frame_seconds is b'1 s', expected one number"),
        ({"start_seconds": np.array([b"0", b"1", b"2"])}, "start_seconds is |S1, expected numbers"),
        ({"frame_second": 2.0}, "has frame_second, which nothing reads: name it frame_seconds, or remove it"),
        ({"end": np.ones(3)}, "has end, which nothing reads: name it end_seconds, or remove it"),
        ({"start_time": np.ones(3)}, "has start_time, which nothing reads: name it start_seconds, or remove it"),
    ],
)
def test_contradictory_arrays_are_refused(tmp_path: Path, run: Prepare, change, finding: str) -> None:
    for suffix in (".h5", ".npz"):
        with pytest.raises(ValueError, match=rf"train{suffix}:? .*{finding}") as refused:
            run(save(tmp_path / f"train{suffix}", own(**change)), on_error="skip")
        assert "cannot be read" not in str(refused.value)
    assert list((tmp_path / "out").glob("*.h5")) == []


def bad_frame(value: float) -> np.ndarray:
    frames = own()["frames"]
    frames[4, 2] = value
    return frames


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"frames": bad_frame(np.nan)}, "record 3: video id 2: frame 0 contains NaN or infinity"),
        ({"frames": bad_frame(-np.inf)}, "record 3: video id 2: frame 0 contains NaN or infinity"),
        ({"lengths": np.array([4, 0, 2])}, "record 2: video id 1: the clip has no frames"),
        ({"labels": np.array([[0, 1], [0, 2], [1, 0]])}, "record 2: .*neither 0 nor 1"),
        ({"labels": np.array([[0, 1], [0, np.nan], [1, 0]])}, "record 2: .*neither 0 nor 1"),
        (
            {"labels": None, "label_ids": np.array([0, -1]), "label_offsets": np.array([0, 1, 2, 2])},
            "record 2: .*label -1 is outside 0..0",
        ),
        (
            {"start_seconds": [0, 5, 0], "end_seconds": [3, 4, 3]},
            r"record 2: video id 1: the clip lasts from 5.0 to 4.0 s",
        ),
        ({"start_seconds": [0, 0, -2]}, r"record 3: video id 2: the clip lasts from -2.0 to nan s; expected finite"),
        ({"end_seconds": [3, -1, 3]}, r"record 2: video id 1: the clip lasts from nan to -1.0 s"),
        ({"start_seconds": [0, 0, np.inf]}, r"record 3: video id 2: the clip lasts from inf to nan s"),
        ({"end_seconds": [1e39, 1, 1]}, r"record 1: video id 0: the clip lasts from nan to inf s"),  # as float32
        ({"video_id": np.array([b"a", b"b", b"a"])}, "record 3: repeated video id a, which train.h5, record 1"),
    ],
)
def test_bad_clips_are_named_or_skipped(tmp_path: Path, run: Prepare, change, finding: str) -> None:
    path = save(tmp_path / "train.h5", own(**change))
    with pytest.raises(ValueError, match=f"^train.h5, {finding}"):
        run(path)
    assert list((tmp_path / "out").glob("*.h5")) == []
    summary = run(path, on_error="skip")
    assert (summary.splits[0].clips, summary.rejected) == (2, 1)


def test_unreadable_files_are_refused(tmp_path: Path, run: Prepare) -> None:
    for suffix in (".h5", ".npz"):
        (tmp_path / f"noise{suffix}").write_bytes(b"neither of them")
        with pytest.raises(ValueError, match=f"noise{suffix} cannot be read"):
            run(tmp_path / f"noise{suffix}")
        with pytest.raises(ValueError, match=f"other{suffix} holds a; expected x, y and video_id_list"):
            run(save(tmp_path / f"other{suffix}", {"a": np.zeros(3)}))
        cut = save(tmp_path / f"cut{suffix}", own(dim=500))
        cut.write_bytes(cut.read_bytes()[:8000])
        with pytest.raises(ValueError, match=f"cut{suffix} cannot be read"):
            run(cut)


@pytest.mark.parametrize("name", ["frames", "labels"])
def test_groups_of_an_hdf5_file_are_no_arrays(tmp_path: Path, run: Prepare, name: str) -> None:
    path = save(tmp_path / "train.h5", own(**{name: None}))
    with h5py.File(path, "r+") as file:
        file[f"{name}/train"] = np.zeros((6, 5), np.float32)
    with pytest.raises(ValueError, match=r"train\.h5 (holds labels, lengths; expected x|has frames but no labels)"):
        run(path)


def test_pickles_are_not_loaded(tmp_path: Path, run: Prepare) -> None:
    path = save(tmp_path / "train.npz", own(video_id=np.array([b"a", 1, None], dtype=object)))
    with pytest.raises(ValueError, match="without pickles"):
        run(path)
