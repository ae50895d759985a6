from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from audiobag.data.store import Store, open_store, write_store
from tests.conftest import make_store


def again(store: Store, path: Path, **changes: Any) -> str:
    return write_store(
        path,
        frames=[np.asarray(store.frames)],
        dim=store.dim,
        dtype=store.frames.dtype,
        columns=replace(store.columns, **{k: v for k, v in changes.items() if k != "description"}),
        description=changes.get("description", store.description),
    )


def test_the_layout_is_as_documented(store: Store) -> None:
    with h5py.File(store.path) as file:
        assert file["frames"].chunks is None
        assert file["frames"].dtype == np.uint8
        assert {k: file[k].dtype.kind for k in ("offsets", "label_ids", "label_offsets", "video_id")} == {
            "offsets": "i",
            "label_ids": "i",
            "label_offsets": "i",
            "video_id": "S",
        }
        assert {"format_version", "content_sha256", "source", "frame_seconds", "scale", "offset"} <= set(file.attrs)
        np.testing.assert_array_equal(file["frames"][()], store.frames)


def test_the_checksum_depends_on_the_content_only(store: Store, tmp_path: Path) -> None:
    elsewhere = replace(store.description, source="another mirror")
    assert again(store, tmp_path / "copy.h5", description=elsewhere) == store.content_sha256
    scaled = replace(store.description, scale=0.5)
    assert again(store, tmp_path / "copy.h5", description=scaled) != store.content_sha256
    times = store.columns.start_seconds + 1
    assert again(store, tmp_path / "copy.h5", start_seconds=times) != store.content_sha256


def test_the_checksum_depends_on_every_frame_and_its_position(store: Store, tmp_path: Path) -> None:
    for change in (0, len(store.frames) - 1):
        frames = np.array(store.frames)
        frames[change, -1] ^= 1
        assert again(replace(store, frames=frames), tmp_path / "copy.h5") != store.content_sha256
    swapped = np.array(store.frames)[::-1]
    assert again(replace(store, frames=swapped), tmp_path / "copy.h5") != store.content_sha256


def test_block_size_does_not_change_the_store(store: Store, tmp_path: Path) -> None:
    blocks = [np.asarray(store.frames[i : i + 17]) for i in range(0, len(store.frames), 17)]
    digest = write_store(
        tmp_path / "blocks.h5",
        frames=blocks,
        dim=store.dim,
        dtype=store.frames.dtype,
        columns=store.columns,
        description=store.description,
    )
    assert digest == store.content_sha256


def test_a_failed_write_keeps_the_old_store(store: Store) -> None:
    before = store.path.read_bytes()
    with pytest.raises(ValueError, match=r"offsets are those of .* frames, got"):
        write_store(
            store.path,
            frames=[np.asarray(store.frames[:-1])],
            dim=store.dim,
            dtype=store.frames.dtype,
            columns=store.columns,
            description=store.description,
        )
    assert store.path.read_bytes() == before
    assert [p.name for p in store.path.parent.iterdir()] == ["bal_train.h5"]


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no store at"):
        open_store(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(ValueError, match="damaged or not an audiobag store"):
        open_store(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(ValueError, match=r"other.h5 is not an audiobag store; expected version 1"):
        open_store(tmp_path / "other.h5")
    store = make_store(tmp_path / "a.h5")
    with h5py.File(store.path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(ValueError, match=r"a.h5 has format version 99; expected version 1"):
        open_store(store.path)


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("offsets", lambda x: x + 1, "offsets does not start at 0"),
        ("offsets", lambda x: np.concatenate([x[:1], x[:-1]]), "a clip has no frames"),
        ("label_ids", lambda x: x + 7, r"labels are in 7\.\.13, its classes in 0\.\.6"),
        ("label_ids", lambda x: x[:-1], "label_ids and label_offsets disagree"),
        ("video_id", lambda x: x[::-1], "repeated or unsorted"),
    ],
)
def test_a_store_with_contradictory_columns_is_refused(store: Store, name: str, change: Any, what: str) -> None:
    with h5py.File(store.path, "r+") as file:
        values = change(file[name][()])
        del file[name]
        file[name] = values
    with pytest.raises(ValueError, match=what):
        open_store(store.path)
    with pytest.raises(ValueError, match=what):
        again(store, store.path.with_name("copy.h5"), **{name: change(getattr(store.columns, name))})


def test_a_truncated_store_is_refused(store: Store) -> None:
    content = store.path.read_bytes()
    store.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged"):
        open_store(store.path)


@pytest.mark.parametrize(
    ("change", "options", "what"),
    [
        (lambda x: x, {"compression": "gzip"}, "frames is compressed or in chunks, expected one contiguous block"),
        (lambda x: x[:, 0], {}, r"frames is \|u1 \[\d+\], expected numbers \[F, D\]"),
        (lambda x: x.astype(">f4"), {}, r"frames is >f4 \[\d+, 6\], expected"),
        (lambda x: np.full(x.shape, b"a"), {}, r"frames is \|S1 "),
    ],
)
def test_frames_that_cannot_be_mapped_are_refused(
    store: Store, change: Any, options: dict[str, str], what: str
) -> None:
    """As after `h5repack`, which compresses: what is mapped then would not be the frames."""
    with h5py.File(store.path, "r+") as file:
        frames = change(file["frames"][()])
        del file["frames"]
        file.create_dataset("frames", data=frames, **options)
    with pytest.raises(ValueError, match=rf"is damaged or not an audiobag store \({what}.*\): make it again"):
        open_store(store.path)


def test_classes_have_as_many_machine_ids_as_names(store: Store) -> None:
    with h5py.File(store.path, "r+") as file:
        mids = file["class_mids"][:-1]
        del file["class_mids"]
        file["class_mids"] = mids
    with pytest.raises(ValueError, match="7 names of classes, 6 machine ids"):
        open_store(store.path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"frame_seconds": 0.0}, "frame_seconds is 0.0, expected a number of seconds above 0"),
        ({"frame_seconds": -1.0}, "frame_seconds is -1.0, expected"),
        ({"frame_seconds": math.nan}, "frame_seconds is nan, expected"),
        ({"scale": 0.0}, "scale is 0.0, expected a finite number other than 0"),
        ({"scale": math.inf}, "scale is inf, expected"),
        ({"offset": 1e39}, r"offset is 1e\+39, expected a finite number"),
        ({"start_seconds": (4, -1.0)}, "its clip clip000004 lasts from -1.0 to "),
        ({"start_seconds": (5, 99.0)}, "its clip clip000005 lasts from 99.0 to "),
        ({"end_seconds": (6, math.inf)}, "its clip clip000006 lasts from 0.0 to inf s"),
        ({"end_seconds": None}, "end_seconds does not have 60 entries"),
    ],
)
def test_a_store_with_impossible_times_or_numbers_is_refused(store: Store, change: dict[str, Any], what: str) -> None:
    """An earlier version wrote such stores."""
    with h5py.File(store.path, "r+") as file:
        for name, value in change.items():
            if value is None:
                shorter = file[name][:-1]
                del file[name]
                file[name] = shorter
            elif isinstance(value, tuple):
                file[name][value[0]] = value[1]
            else:
                file.attrs[name] = value
    with pytest.raises(ValueError, match=rf"bal_train\.h5.* {what}.*: make it again with audiobag-prepare"):
        open_store(store.path)


def test_unknown_times_are_allowed(store: Store) -> None:
    with h5py.File(store.path, "r+") as file:
        file["start_seconds"][:] = math.nan
        file["end_seconds"][3] = math.nan
    assert len(open_store(store.path)) == 60
