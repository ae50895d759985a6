"""`predict_to_file`: kinds of sources, formats and refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from audiobag.data.store import Store
from audiobag.export import Tagger, load
from audiobag.prediction import Outcome, open_clips, predict_bags, predict_to_file, stream
from audiobag.prepare.records import Clip
from audiobag.sound.segments import Rule, runs
from tests.export.fabricate import make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    return make_run(tmp_path_factory.mktemp("predict") / "run")


@pytest.fixture(scope="module")
def said(made: tuple[Path, Store]) -> Any:
    """The model's predictions for the store, clip by clip."""
    tagger, store = load(made[0]), made[1]
    return [tagger.predict([store.frames[a:b]]) for a, b in pairwise(store.columns.offsets)]


@pytest.fixture
def run(made: tuple[Path, Store], tmp_path: Path) -> Callable[..., Outcome]:
    def call(source: Path | None = None, **options: Any) -> Outcome:
        given = {"checkpoint": made[0], "source": source or made[1].path, "out": tmp_path / "predictions.h5"}
        return predict_to_file(**{**given, **options})

    return call


def bare(store: Store, path: Path, **more: Any) -> Path:
    """Write the clips of a store, in reverse, as a user's file without labels."""
    bags = [store.frames[a:b] for a, b in pairwise(store.columns.offsets)][::-1]
    content = {"frames": np.concatenate(bags), "lengths": [len(b) for b in bags]} | more
    if path.suffix == ".npz":
        np.savez(path, **content)
    else:
        with h5py.File(path, "w") as file:
            file.update({name: np.asarray(value) for name, value in content.items()})
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_hdf5_holds_the_models_predictions(run: Callable[..., Outcome], made: tuple[Path, Store], said: Any) -> None:
    store = made[1]
    done = run(frames=True, batch_size=7)
    assert (done.out.name, done.clips) == ("predictions.h5", 40)
    with h5py.File(done.out) as file:
        np.testing.assert_array_equal(file["video_id"], store.columns.video_id)
        np.testing.assert_array_equal(file["offsets"], store.columns.offsets)
        np.testing.assert_array_equal(file["start_seconds"], store.columns.start_seconds)
        np.testing.assert_allclose(file["probability"], torch.cat([s.clip for s in said]), atol=1e-6)
        np.testing.assert_allclose(file["frame"], torch.cat([s.frame[0] for s in said]), atol=1e-6)
        np.testing.assert_allclose(file["measure"], torch.cat([s.measure[0] for s in said]), atol=1e-6)
        assert [name.decode() for name in file["class_names"]] == list(store.description.class_names)
        assert file.attrs["frame_seconds"] == 1


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_own_embeddings_need_no_labels(
    run: Callable[..., Outcome], made: tuple[Path, Store], said: Any, tmp_path: Path, suffix: str
) -> None:
    done = run(bare(made[1], tmp_path / f"mine{suffix}"), out=tmp_path / "a.h5")
    with h5py.File(done.out) as file:
        np.testing.assert_allclose(file["probability"], torch.cat([s.clip for s in said])[range(39, -1, -1)], atol=1e-6)
        assert np.isnan(file["start_seconds"]).all()


def test_csv_has_the_most_likely_classes_first(
    run: Callable[..., Outcome], made: tuple[Path, Store], said: Any, tmp_path: Path
) -> None:
    found = rows(run(out=tmp_path / "a.csv", top_k=2).out)
    assert len(found) == 80
    names = made[1].description.class_names
    for i, (first, second) in enumerate(zip(found[::2], found[1::2], strict=True)):
        order = said[i].clip[0].argsort(descending=True)
        assert [first["class"], second["class"]] == [names[k] for k in order[:2]]
        assert float(first["probability"]) == pytest.approx(said[i].clip[0].max().item(), abs=2e-6)


def test_frames_add_up_to_the_clip(run: Callable[..., Outcome], tmp_path: Path) -> None:
    found = rows(run(out=tmp_path / "a.csv", frames=True, top_k=1).out)
    clip = [row for row in found if row["video_id"] == found[0]["video_id"]]
    assert [row["start_seconds"] for row in clip] == [f"{t}.0" for t in range(len(clip))]
    total = sum(float(row["frame"]) * float(row["measure"]) for row in clip)
    assert total == pytest.approx(float(clip[0]["probability"]), abs=1e-5)
    lines = [json.loads(x) for x in run(out=tmp_path / "a.jsonl", frames=True, top_k=None).out.read_text().splitlines()]
    assert len(lines) == 40
    assert lines[0]["classes"][0]["frame"] == [float(row["frame"]) for row in clip]
    assert len(lines[0]["classes"]) == 5
    assert all(line["labels"] for line in lines if "labels" in line)
    assert any("labels" in line for line in lines)


def test_segments_and_label_tracks_have_the_times_of_the_clip(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    source = bare(made[1], tmp_path / "mine.npz", start_seconds=np.full(40, 30.0), frame_seconds=0.5)
    options = {"threshold": 0.55, "top_k": None}
    found = rows(run(source, out=tmp_path / "a.csv", segments=True, **options).out)
    assert found
    assert {float(row["start_seconds"]) % 0.5 for row in found} == {0}
    assert min(float(row["start_seconds"]) for row in found) >= 30
    assert min(float(row["probability"]) for row in found) >= 0.55
    assert min(float(row["frame"]) for row in found) >= 0.55
    track = run(source, out=tmp_path / "tracks", format="audacity", times="clip", **options).out
    assert {path.stem for path in track.iterdir()} == {row["video_id"] for row in found}
    few = run(source, out=tmp_path / "few", format="audacity", threshold=0.95, top_k=None).out
    assert len(list(few.iterdir())) < 40, "clips without a segment have no file"
    assert all(path.read_text() for path in few.iterdir())
    labels = (track / f"{found[0]['video_id']}.txt").read_text().splitlines()
    expected = {(float(r["start_seconds"]) - 30, r["class"]) for r in found if r["video_id"] == found[0]["video_id"]}
    assert {(float(a), name) for a, _, name in (label.split("\t") for label in labels)} == expected
    line = json.loads(run(source, out=tmp_path / "a.jsonl", segments=True, **options).out.read_text().splitlines()[0])
    assert set(line["classes"][0]) == {"class", "probability", "segments"}


def test_json_lines_go_to_the_standard_output(
    run: Callable[..., Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = run(out=tmp_path / "a.jsonl", frames=True).out.read_text()
    done = run(out="-", frames=True)
    assert capsys.readouterr().out == expected
    assert (done.out, done.clips) == (Path("-"), 40)
    assert not Path("-").exists()


def test_json_lines_say_where_a_clip_can_be_heard(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    source = bare(made[1], tmp_path / "mine.npz", start_seconds=np.full(40, 30.0))
    lines = run(source, out=tmp_path / "a.jsonl", audio_url="https://here/{video_id}?from={start}").out.read_text()
    first = json.loads(lines.splitlines()[0])
    assert first["url"] == f"https://here/{first['video_id']}?from=30"
    assert "url" not in json.loads(run(source, out=tmp_path / "b.jsonl").out.read_text().splitlines()[0])


@pytest.mark.parametrize(
    ("clip", "frame", "median", "expected"),
    [
        (0.9, [0.6, 0.6, 0.1, 0.6], 1, [(0, 2), (3, 4)]),
        (0.9, [0.6, 0.6, 0.1, 0.6], 3, [(0, 4)]),
        (0.9, [0.1, 0.9, 0.1, 0.1], 3, []),
        (0.9, [0.5], 1, [(0, 1)]),
        (0.4, [0.9, 0.9], 1, []),
    ],
)
def test_segments_follow_the_rule(
    clip: float, frame: list[float], median: int, expected: list[tuple[int, int]]
) -> None:
    assert runs(clip, np.array(frame), Rule(0.5, median)) == expected


def test_batches_of_long_clips_are_smaller(made: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_MOST_FRAMES", 20)
    tagger: Tagger = load(made[0])
    clips = [Clip(b"%d" % i, np.zeros((n, 6), np.uint8), (), 0, 1) for i, n in enumerate([2, 3, 9, 1, 40, 1])]
    assert [len(batch) for batch in predict_bags(tagger, clips, 3)] == [2, 2, 1, 1]
    assert [len(batch) for batch in predict_bags(tagger, clips[:2], 1)] == [1, 1]


def test_an_interrupted_prediction_leaves_nothing(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    bad = bare(made[1], tmp_path / "bad.npz", lengths=[*[1] * 30, 0, made[1].columns.offsets[-1] - 30])
    for kind in ("h5", "csv", "audacity"):
        with pytest.raises(ValueError, match="clip has no frames"):
            run(bad, out=tmp_path / "out" / kind, format=kind, batch_size=10)
    assert list((tmp_path / "out").iterdir()) == []
    done = run(bad, out=tmp_path / "out" / "a.csv", on_error="skip")
    assert done.clips == 31
    assert "1 bad records were left out" in done.notices[0]


def test_nothing_is_overwritten_unless_asked(run: Callable[..., Outcome], tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("precious")
    with pytest.raises(ValueError, match=r"exists.*force=true"):
        run(out=out)
    assert out.read_text() == "precious"
    assert len(rows(run(out=out, force=True).out)) == 200
    with pytest.raises(ValueError, match="folders are not overwritten"):
        run(out=tmp_path, force=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"out": "-", "format": "csv"}, "format must be jsonl to write to the standard output, got csv"),
        ({"audio_url": "clip.wav"}, "audio_url must be an http, https or file address"),
        ({"format": "xml"}, "format must be one of h5, csv, jsonl, audacity, got xml"),
        ({"threshold": 1.5}, r"threshold must be a number in \(0, 1\), got 1.5"),
        ({"median": 2}, "median must be an odd number of frames, 1 for no filter, got 2"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, or null for all classes, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"times": "utc"}, "times must be one of video, clip, got utc"),
        ({"on_error": "ask"}, "on_error must be one of stop, skip, got ask"),
        ({"segments": True}, "segments cannot be written to format h5"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"device": "nowhere"}, "device must be one that is there, such as cpu or cuda, got nowhere"),
        ({"format": "csv", "segments": True, "frames": True}, "frames cannot be combined with segments"),
        ({"source": "nowhere.npz"}, "no source at nowhere.npz"),
        ({"checkpoint": "nowhere.ckpt"}, "no checkpoint at nowhere.ckpt"),
    ],
)
def test_arguments_out_of_range_are_refused(
    run: Callable[..., Outcome], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(**options)


def test_a_run_stands_for_the_weights_that_it_scored(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    folder = made[0].parent.parent
    lines = rows(run(out=tmp_path / "a.csv", checkpoint=folder).out)
    assert lines == rows(run(out=tmp_path / "b.csv").out)
    with h5py.File(run(checkpoint=folder).out) as file:
        assert file.attrs["checkpoint"] == str(made[0])


def test_clips_of_another_kind_are_refused(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="frames of width 6, those of"):
        run(bare(made[1], tmp_path / "a.npz", frames=np.zeros((220, 7), np.uint8), lengths=[220]))
    with pytest.raises(ValueError, match=r"frames of scale 0\.0078125"):
        run(bare(made[1], tmp_path / "b.npz", frames=np.zeros((220, 6), np.float32), lengths=[220]))


def test_packed_features_without_labels_and_shards_are_clips(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file["x"] = np.zeros((3, 10, 128), np.uint8)
        file["video_id_list"] = np.array([b"a", b"b", b"c"])
    clips = open_clips(tmp_path / "packed.h5")
    assert [(c.video_id, c.frames.shape, tuple(c.label_ids)) for c in clips] == [
        (name, (10, 128), ()) for name in (b"a", b"b", b"c")
    ]
    assert clips.done == clips.size > 3840


def test_ids_that_are_cut_or_not_text_stay_apart(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    """30 Japanese characters are 270 characters of a file name."""
    ids = [("\u97f3" * 29 + last).encode() for last in "\u4e00\u4e01"] + [b"a\xff", b"a\xfe", b"a/b", b"a%2Fb"]
    ids += [f"{i:02}".encode() for i in range(40 - len(ids))]
    source = bare(made[1], tmp_path / "mine.h5", video_id=np.array(ids))
    folder = run(source, out=tmp_path / "tracks", format="audacity", threshold=0.01).out
    assert len([*folder.iterdir()]) == 40
    assert max(len(path.name) for path in folder.iterdir()) == 204
    assert len({row["video_id"] for row in rows(run(source, out=tmp_path / "a.csv", top_k=1).out)}) == 40


def test_ids_that_differ_in_case_alone_have_files_of_their_own_on_every_disk(
    run: Callable[..., Outcome], made: tuple[Path, Store], tmp_path: Path
) -> None:
    ids = [f"{'aA'[n % 2]}{n // 2}".encode() for n in range(40)]  # a0, A0, a1, A1, ...
    source = bare(made[1], tmp_path / "mine.npz", video_id=np.array(ids))
    folder = run(source, out=tmp_path / "tracks", format="audacity", threshold=0.01).out
    assert len({path.name.casefold() for path in folder.iterdir()}) == 40
