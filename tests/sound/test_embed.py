"""From recordings to stores."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from audiobag.data.store import open_store
from audiobag.data.strong import strong_labels
from audiobag.sound import LogMel, Reading, embed
from audiobag.sound.cutting import Cut, Cutter
from audiobag.sound.synthesis import SOUNDS, synthesise
from audiobag.sound.synthetic import SIZES, make_recording
from audiobag.training.interruption import Stopped
from audiobag.utils.errors import Interrupted
from tests.sound.making import noise, small, tones, write


def vectors(wave: np.ndarray) -> np.ndarray:
    """Return the frames [T, 8] of a recording, whose last second is filled with silence if half of it is there."""
    count = (len(wave) + 8_000) // 16_000
    whole = np.pad(wave, (0, 16_000))[: count * 16_000].reshape(-1, 16_000)
    return small()(torch.from_numpy(whole)).numpy()


def test_a_folder_of_recordings_becomes_stores(tmp_path: Path) -> None:
    done = embed(tones(tmp_path / "in"), tmp_path / "out", encoder=small(), labels="folders", eval_fraction=0.4)
    train, test = (open_store(tmp_path / "out" / f"{name}.h5") for name in ("bal_train", "eval"))
    assert train.description.class_names == ("high", "low", "noise")
    assert len(train) + len(test) == done.recordings == 36
    assert not {*train.columns.video_id} & {*test.columns.video_id}
    assert done.audio_seconds == pytest.approx(144)
    for store in (train, test):
        for i, name in enumerate(store.columns.video_id):
            label = store.labels.ids[store.labels.offsets[i] : store.labels.offsets[i + 1]]
            assert [store.description.class_names[k] for k in label] == [name.decode().split("/")[0]]
    encoder = train.description.encoder
    assert encoder is not None
    assert (encoder["name"], encoder["weights_sha256"]) == ("logmel", None)
    assert encoder["config"]["bands"] == 4


def test_frames_are_the_encoders_vectors_of_each_window(tmp_path: Path) -> None:
    waves = {f"{i}.wav": noise(i + 1.5, seed=i) for i in range(5)}
    for name, wave in waves.items():
        write(tmp_path / "in" / name, wave, subtype="FLOAT")
    embed(tmp_path / "in", tmp_path / "out", encoder=small(), split="eval", reading=Reading(batch_size=3))
    store = open_store(tmp_path / "out" / "eval.h5")
    assert [name.decode() for name in store.columns.video_id] == list(waves)
    for i, wave in enumerate(waves.values()):
        frames = store.frames[store.columns.offsets[i] : store.columns.offsets[i + 1]]
        np.testing.assert_allclose(frames, vectors(wave), atol=1e-5)


def test_a_long_recording_is_cut_and_its_events_go_with_their_clips(tmp_path: Path) -> None:
    wave = noise(10.5)
    write(tmp_path / "in" / "a b.wav", wave, subtype="FLOAT")
    (tmp_path / "labels.csv").write_text(
        "file,start,end,label\na b.wav,1.0,1.5,dog\na b.wav,3.9,4.5,cat\na b.wav,9.2,10.4,dog\n"
    )
    embed(
        tmp_path / "in", tmp_path / "out", encoder=small(), labels=tmp_path / "labels.csv", split="eval", clip_seconds=4
    )
    store = open_store(tmp_path / "out" / "eval.h5")
    assert [name.decode() for name in store.columns.video_id] == ["a b.wav@0s", "a b.wav@4s", "a b.wav@8s"]
    np.testing.assert_allclose(store.frames, vectors(wave), atol=1e-5)
    assert store.columns.lengths.tolist() == [4, 4, 3]
    assert store.columns.start_seconds.tolist() == [0, 4, 8]
    assert store.columns.end_seconds.tolist() == [4, 8, 10.5]
    assert store.labels.dense().tolist() == [[True, True], [True, False], [False, True]]  # cat, dog
    with (tmp_path / "out" / "strong.csv").open() as file:
        rows = [
            (r["video_id"], float(r["start_seconds"]), float(r["end_seconds"]), r["label"])
            for r in csv.DictReader(file)
        ]
    assert rows == [
        ("a b.wav@0s", 1.0, 1.5, "dog"),
        ("a b.wav@0s", 3.9, 4.0, "cat"),
        ("a b.wav@4s", 0.0, 0.5, "cat"),
        ("a b.wav@8s", 1.2, 2.4, "dog"),
    ]
    truth = strong_labels(store, tmp_path / "out" / "strong.csv").truth
    assert truth.shows[:, :4].tolist() == [
        [False, False, False, True],
        [False, True, False, False],
        [True, False, False, False],
        [False, True, True, False],
    ]


@pytest.mark.parametrize(("clip_seconds", "ends"), [(None, [9.6]), (10, [9.6]), (5, [5, 9.6]), (3, [3, 6, 9, 9.6])])
def test_the_last_clip_ends_with_the_recording(clip_seconds: float | None, ends: list[float], tmp_path: Path) -> None:
    write(tmp_path / "x.wav", noise(9.6))
    embed(tmp_path / "x.wav", tmp_path / "out", encoder=small(), split="eval", clip_seconds=clip_seconds)
    store = open_store(tmp_path / "out" / "eval.h5")
    assert store.columns.lengths.sum() == 10
    np.testing.assert_allclose(store.columns.end_seconds, ends)


@pytest.mark.parametrize(("hop", "starts"), [(2, [0, 2, 4, 6]), (6, [0, 6]), (None, [0, 4, 8])])
def test_clips_overlap_or_leave_gaps(hop: float | None, starts: list[int], tmp_path: Path) -> None:
    wave = noise(10.0)
    write(tmp_path / "x.wav", wave, subtype="FLOAT")
    embed(tmp_path / "x.wav", tmp_path / "out", encoder=small(), split="eval", clip_seconds=4, clip_hop_seconds=hop)
    store = open_store(tmp_path / "out" / "eval.h5")
    assert sorted(store.columns.start_seconds.tolist()) == starts
    for i, start in enumerate(store.columns.start_seconds.astype(int)):
        frames = store.frames[store.columns.offsets[i] : store.columns.offsets[i + 1]]
        np.testing.assert_allclose(frames, vectors(wave)[start : start + 4], atol=1e-5)


def test_channels_become_clips(tmp_path: Path) -> None:
    left, right = noise(2.0), noise(2.0, seed=1)
    write(tmp_path / "x.wav", np.stack([left, right], 1), subtype="FLOAT")
    embed(tmp_path / "x.wav", tmp_path / "out", encoder=small(), split="eval", reading=Reading(channels="each"))
    store = open_store(tmp_path / "out" / "eval.h5")
    assert [name.decode() for name in store.columns.video_id] == ["x.wav#1", "x.wav#2"]
    np.testing.assert_allclose(store.frames, np.concatenate([vectors(left), vectors(right)]), atol=1e-5)


def test_bad_files_stop_or_are_listed(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "in" / f"{number}.wav", noise(2.0, seed=number))
    (tmp_path / "in" / "empty.wav").touch()
    write(tmp_path / "in" / "silent.flac", np.zeros(48_000))
    with pytest.raises(ValueError, match=r"empty\.wav: the file is empty, it has 0 bytes; repair .* on_error=skip"):
        embed(tmp_path / "in", tmp_path / "out", encoder=small(), split="eval")
    assert not list((tmp_path / "out").glob("*.h5"))
    done = embed(tmp_path / "in", tmp_path / "out", encoder=small(), split="eval", on_error="skip")
    assert (done.summary.rejected, len(open_store(tmp_path / "out" / "eval.h5"))) == (2, 3)
    text = (tmp_path / "out" / "rejected.csv").read_text()
    assert 'empty.wav,,"the file is empty, it has 0 bytes"' in text
    assert 'silent.flac,,"it is silent, all samples of its 3.00 s are 0"' in text


def test_names_that_are_no_utf_8_are_read_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "in" / os.fsdecode(b"na\xefve")
    write(tmp_path / "x.wav", noise(2.0))
    for name in (b"a\xff.wav", b"b\xff.wav"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "x.wav", folder / os.fsdecode(name))
    write(tmp_path / "in" / "plain" / "c.wav", noise(2.0))
    (folder / os.fsdecode(b"b\xff.wav")).write_text("no sound")
    embed(tmp_path / "in", tmp_path / "out", encoder=small(), labels="folders", split="eval", on_error="skip")
    store = open_store(tmp_path / "out" / "eval.h5")
    assert store.columns.video_id.tolist() == [b"na\xefve/a\xff.wav", b"plain/c.wav"]
    assert store.description.class_names == (r"na\udcefve", "plain")
    assert r"na\udcefve/b\udcff.wav" in (tmp_path / "out" / "rejected.csv").read_text(encoding="utf-8")
    embed(folder, tmp_path / "other", encoder=small(), split="eval", on_error="skip")
    assert open_store(tmp_path / "other" / "eval.h5").description.source.endswith(r"na\udcefve")


def test_clips_of_a_recording_of_days_have_different_names() -> None:
    cutter = Cutter("x.wav", (), {}, Cut(1, 1, 0.96))
    frame = np.zeros(1, np.float32)
    names = [clip.video_id for _ in range(105_000) for clip, _ in cutter.add(frame)]
    assert len(set(names)) == len(names)
    assert (names[1], names[-1]) == (b"x.wav@0.96s", b"x.wav@100798.08s")


def test_clips_before_the_damage_of_a_long_recording_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(9.0))
    for seconds in (7, 6):
        path.write_bytes(path.read_bytes()[: 44 + seconds * 32_000])
        embed(path, tmp_path / "out", encoder=small(), split="eval", clip_seconds=3, on_error="skip")
        assert len(open_store(tmp_path / "out" / "eval.h5")) == 2
        assert f"claims 9.00 s, the file ends after {seconds}.00 s" in (tmp_path / "out" / "rejected.csv").read_text()


def test_nothing_is_done_twice_and_every_change_is_noticed(tmp_path: Path) -> None:
    folder = tones(tmp_path / "in", each=2)

    def run(**options: object) -> bool:
        merged = {"encoder": small(), "labels": "folders", "split": "eval", **options}
        return embed(folder, tmp_path / "out", **merged).summary.unchanged  # type: ignore[arg-type]

    assert not run()
    assert run()
    assert not run(encoder=LogMel(bands=5))
    assert not run(encoder=LogMel(bands=5), clip_seconds=2)
    assert not run(labels=None)
    assert run(labels=None)
    write(folder / "low" / "0.wav", noise(3.0))
    assert not run(labels=None)


def test_synthetic_sounds_are_the_same_everywhere_and_begin_when_they_say(tmp_path: Path) -> None:
    wave, events = make_recording("eval", 3)
    again, _ = make_recording("eval", 3)
    np.testing.assert_array_equal(wave, again)
    assert not np.array_equal(wave, make_recording("bal_train", 3)[0])
    assert len(SOUNDS) == 20
    for label in SOUNDS:
        sound = synthesise(label, np.random.default_rng(0), 0.7, 16_000)
        assert (len(sound), np.abs(sound).max()) == (11_200, 1.0)
        assert np.abs(sound[:800]).max() > 0.01  # it begins at once
    assert all(0 <= start < end <= 10 for start, end, _ in events)


def test_synthetic_sounds_become_stores_with_strong_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "tiny", {"bal_train": 4, "eval": 2})  # type: ignore[index]
    embed("synthetic-sounds", tmp_path, encoder=small(), size="tiny")
    store = open_store(tmp_path / "eval.h5")
    strong = strong_labels(store, tmp_path / "strong.csv")
    assert len(strong.rows) == len(store) == 2
    assert strong.counts["events_of_unknown_labels"] == strong.counts["events_outside"] == 0
    dense = np.zeros((2, store.classes), bool)
    dense[strong.truth.clip, strong.truth.label] = True
    np.testing.assert_array_equal(dense, store.labels.dense())
    assert embed("synthetic-sounds", tmp_path, encoder=small(), size="tiny").summary.unchanged
    with pytest.raises(ValueError, match="labels must be null for synthetic-sounds"):
        embed("synthetic-sounds", tmp_path, labels="folders")


class Failing(LogMel):
    """An encoder that stops after some batches, as a signal would stop it."""

    left = 3

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        if not Failing.left:
            raise Stopped
        Failing.left -= 1
        return super().forward(windows)


def interrupt(batches: int, *arguments: object, **options: object) -> str:
    """Embed until some batches have been encoded, and return what is said of the interruption."""
    encoder = Failing(bands=4)
    encoder.config = small().config  # the same in its record
    Failing.left = batches
    with pytest.raises(Interrupted) as stopped:
        embed(*arguments, encoder=encoder, **options)  # type: ignore[arg-type]
    return str(stopped.value)


def test_an_interrupted_run_continues_to_the_same_bytes(tmp_path: Path) -> None:
    """Recordings in groups of four, which take several batches; one is bad, one is silent, one has two channels."""
    folder = tones(tmp_path / "in", each=3)
    (folder / "high" / "bad.wav").write_bytes(b"no sound")
    write(folder / "low" / "silent.wav", np.zeros(64_000))
    write(folder / "low" / "stereo.wav", np.stack([noise(2.3), noise(2.3, seed=1)], 1), subtype="FLOAT")
    reading = Reading(channels="each", batch_size=4)
    options = {"labels": "folders", "split": "eval", "on_error": "skip", "reading": reading, "clip_seconds": 3}
    whole = embed(folder, tmp_path / "whole", encoder=small(), **options)  # type: ignore[arg-type]
    out = tmp_path / "out"
    assert interrupt(5, folder, out, **options) == "4 of 12 recordings are encoded, and the same command continues"
    assert not list(out.glob("*.h5"))
    assert interrupt(3, folder, out, **options) == "4 of 12 recordings are encoded, and the same command continues"
    done = embed(folder, out, encoder=small(), **options)  # type: ignore[arg-type]
    assert (whole.taken_over, done.taken_over, done.recordings) == (0, 4, 12)
    assert done.audio_seconds < whole.audio_seconds
    for name in ("eval.h5", "rejected.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in out.iterdir()) == [".prepare.lock", "eval.h5", "rejected.csv"]


def test_a_run_that_stopped_at_a_bad_file_continues_there(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.wav", noise(2.0))
    (tmp_path / "in" / "b.wav").write_bytes(b"no sound")
    options = {"encoder": small(), "split": "eval", "reading": Reading(batch_size=1)}
    with pytest.raises(ValueError, match=r"b\.wav: it is not a sound"):
        embed(tmp_path / "in", tmp_path / "out", **options)  # type: ignore[arg-type]
    write(tmp_path / "in" / "b.wav", noise(3.0))
    done = embed(tmp_path / "in", tmp_path / "out", **options)  # type: ignore[arg-type]
    assert (done.taken_over, done.audio_seconds) == (1, 3.0)


def test_only_what_was_made_in_the_same_way_is_taken_over(tmp_path: Path) -> None:
    folder = tones(tmp_path / "in", each=2)
    reading = Reading(batch_size=2)
    interrupt(5, folder, tmp_path / "out", split="eval", reading=reading)  # the first group of two takes 4

    def taken_over(encoder: LogMel | None = None, reading: Reading = reading, **options: object) -> int:
        shutil.copytree(tmp_path / "out", tmp_path / "copy")
        encoder = small() if encoder is None else encoder
        done = embed(folder, tmp_path / "copy", encoder=encoder, reading=reading, split="eval", **options)  # type: ignore[arg-type]
        shutil.rmtree(tmp_path / "copy")
        return done.taken_over

    assert taken_over() == taken_over(labels="folders") == taken_over(clip_seconds=2) == 2
    assert taken_over(LogMel(bands=5)) == taken_over(LogMel(bands=4, hop_seconds=0.5)) == 0
    assert taken_over(reading=Reading(batch_size=2, channels="each")) == 0
    assert taken_over(reading=Reading(batch_size=2, precision="bf16")) == 0
    (described,) = (tmp_path / "out" / ".embedded").glob("*.json")
    shutil.copy(described, tmp_path / "x.json")
    described.unlink()  # as after a kill between the two files
    assert taken_over() == 0
    shutil.copy(tmp_path / "x.json", described)
    assert taken_over() == 2
    write(folder / "high" / "0.wav", noise(4.0))
    assert taken_over() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_seconds": 0.5}, "clip_seconds must be at least a frame, 1 s"),
        ({"clip_hop_seconds": 2.0}, "clip_hop_seconds needs clip_seconds"),
        ({"eval_fraction": 2.0}, "eval_fraction must be"),
        ({"reading": {"batch_size": 0}}, "batch_size must be"),
        ({"reading": {"precision": "fp8"}}, "precision must be one of fp32, bf16"),
        ({"reading": {"channels": "left"}}, "channels must be one of mix, each"),
        ({"reading": {"device": "nowhere"}}, "device must be one that is there"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", noise(2.0))

    def run() -> None:
        reading = Reading(**options.pop("reading")) if "reading" in options else None  # type: ignore[arg-type]
        embed(tmp_path / "x.wav", tmp_path / "out", encoder=small(), reading=reading, **options)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=message):
        run()
