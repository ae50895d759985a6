"""Recordings to tags: prediction, segments across clips, refusal of other encoders, exports, and the page."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiobag
from audiobag.export import write_export
from audiobag.listening.played import play
from audiobag.prediction import predict_to_file
from audiobag.runs.checkpoints import check_scorable, load_checkpoint
from audiobag.sound import LogMel, Reading, embed
from audiobag.sound.reading import SoundFile
from audiobag.sound.segments import Joiner, Segment
from tests.sound.making import noise, small, tagger_of_tones, write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a model that tells low tones, high tones and noise apart."""
    return tagger_of_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 25 s: a low tone from 3 to 7 s, noise from 8 to 12 s, a high tone in the last two seconds."""
    time = np.arange(25 * 44_100) / 44_100
    wave = noise(25, 44_100, level=0.001)
    for start, end, sound in (
        (3, 7, 0.3 * np.sin(2 * np.pi * 250 * time)),
        (8, 12, noise(25, 44_100, seed=7)),
        (23, 25, 0.3 * np.sin(2 * np.pi * 3500 * time)),
    ):
        wave[start * 44_100 : end * 44_100] += sound[start * 44_100 : end * 44_100].astype(np.float32)
    return write(tmp_path_factory.mktemp("street") / "Straße 'A'.wav", np.stack([wave, wave], 1), 44_100)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def spans(found: list[dict[str, str]], label: str) -> list[tuple[float, float]]:
    return [(float(r["start_seconds"]), float(r["end_seconds"])) for r in found if r["class"] == label]


def test_segments_of_a_recording_have_its_times_and_cross_its_clips(run: Path, street: Path, tmp_path: Path) -> None:
    for clip_seconds in (4.0, 10.0, 25.0):
        out = tmp_path / f"{clip_seconds}.csv"
        predict_to_file(run, street, out, segments=True, clip_seconds=clip_seconds)
        found = rows(out)
        assert {r["video_id"] for r in found} == {street.name}
        assert spans(found, "low") == [(3, 7)]
        assert (8, 12) in spans(found, "noise")
        assert spans(found, "high") == [(23, 25)]


def test_a_track_has_the_joined_segments_too(run: Path, street: Path, tmp_path: Path) -> None:
    predict_to_file(run, street, tmp_path / "labels", format="audacity", clip_seconds=5.0)
    (track,) = (tmp_path / "labels").iterdir()
    assert "3.000000\t7.000000\tlow\n" in track.read_text()


def test_rows_of_clips_say_when_they_are(run: Path, street: Path, tmp_path: Path) -> None:
    done = predict_to_file(run, street, tmp_path / "x.csv", top_k=1)
    assert done.clips == 3
    assert [(r["start_seconds"], r["end_seconds"]) for r in rows(tmp_path / "x.csv")] == [
        ("0.0", "10.0"),
        ("10.0", "20.0"),
        ("20.0", "25.0"),
    ]


def test_recordings_give_what_their_store_gives(run: Path, street: Path, tmp_path: Path) -> None:
    embed(street, tmp_path / "data", encoder=small(), split="eval", clip_seconds=10)
    for source, name in ((tmp_path / "data" / "eval.h5", "a"), (street, "b")):
        predict_to_file(run, source, tmp_path / f"{name}.jsonl", top_k=None, frames=True)
    a, b = ([json.loads(line) for line in (tmp_path / f"{x}.jsonl").read_text().splitlines()] for x in "ab")
    assert [{**one, "video_id": ""} for one in a] == [{**one, "video_id": ""} for one in b]


def test_embeddings_of_another_encoder_are_refused(run: Path, street: Path, tmp_path: Path) -> None:
    other = LogMel(bands=4, hop_seconds=0.5)
    embed(street, tmp_path / "data", encoder=other, split="eval")
    for model in (run, next((run / "checkpoints").glob("*.ckpt"))):
        with pytest.raises(ValueError, match=r"embeddings of the encoder .* \(hop_seconds is 1\.0 and 0\.5\)"):
            predict_to_file(model, tmp_path / "data" / "eval.h5", tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"encoder must be the one .* hop_seconds is 1.0 and 0.5"):
        predict_to_file(run, street, tmp_path / "x.csv", encoder=other)
    with pytest.raises(ValueError, match="encoder is for recordings"):
        predict_to_file(run, tmp_path / "data" / "eval.h5", tmp_path / "x.csv", encoder=small())
    checkpoint = next((run / "checkpoints").glob("*.ckpt"))
    store = audiobag.open_store(tmp_path / "data" / "eval.h5")
    metadata = {**load_checkpoint(checkpoint)["audiobag"], "class_names": []}
    with pytest.raises(ValueError, match=r"by other encoders in .* and in"):
        check_scorable(checkpoint, metadata, store)


def test_a_model_without_a_record_needs_the_encoder(street: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"encoder must be given .* such as vggish for AudioSet's features"):
        predict_to_file("audioset-balanced", street, tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"takes frames of width 128, those of .* have 8"):
        predict_to_file("audioset-balanced", street, tmp_path / "x.csv", encoder=small())


def test_an_export_carries_the_encoder(run: Path, street: Path, tmp_path: Path) -> None:
    write_export(run, tmp_path / "plain", replicates=0)
    write_export(run, tmp_path / "whole", replicates=0, with_encoder=True)
    mine = audiobag.load(run).listen(street)
    for folder in ("plain", "whole"):
        tagger = audiobag.load(tmp_path / folder)
        assert tagger.encoder().config == small().config
        np.testing.assert_array_equal(tagger.listen(street).clip, mine.clip)
    assert ("low", pytest.approx(mine.clip[:, 1].max())) in mine.top(3)
    assert (3.0, 7.0, "low") in [one[:3] for one in mine.segments()]


def test_bad_recordings_stop_or_are_told(run: Path, street: Path, tmp_path: Path) -> None:
    shutil.copy(street, tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"b\.wav: it is not a sound .* on_error=skip"):
        predict_to_file(run, tmp_path, tmp_path / "out" / "x.csv")
    done = predict_to_file(run, tmp_path, tmp_path / "out" / "x.csv", on_error="skip")
    assert done.clips == 3
    assert "1 bad records were left out, the first is b.wav" in done.notices[0]
    with pytest.raises(ValueError, match=r"b\.wav: it is not a sound"):
        audiobag.load(run).listen(tmp_path / "b.wav")
    with pytest.raises(ValueError, match=r"must be one sound file, got .* with 2"):
        audiobag.load(run).listen(tmp_path)


def test_short_recordings_are_padded_on_request(run: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(0.4))
    with pytest.raises(ValueError, match="less than half a window of 1 s"):
        predict_to_file(run, path, tmp_path / "x.csv")
    assert predict_to_file(run, path, tmp_path / "x.csv", reading=Reading(pad_short=True)).clips == 1
    assert audiobag.load(run).listen(path).end_seconds.tolist() == [pytest.approx(0.4)]


def test_the_last_part_of_a_second_is_heard_and_ends_with_the_recording(run: Path, tmp_path: Path) -> None:
    """A high tone begins 20.05 s into a recording of 20.9 s, which is heard in clips of 10 s and as a store."""
    time = np.arange(round(20.9 * 16_000)) / 16_000
    wave = noise(20.9, level=0.001) + np.where(time >= 20.05, 0.3 * np.sin(2 * np.pi * 3500 * time), 0)
    path = write(tmp_path / "late.wav", wave.astype(np.float32))
    embed(path, tmp_path / "data", encoder=small(), split="eval", clip_seconds=10)
    assert audiobag.open_store(tmp_path / "data" / "eval.h5").columns.end_seconds[-1] == np.float32(20.9)
    for source in (path, tmp_path / "data" / "eval.h5"):
        out = tmp_path / f"{source.stem}.csv"
        predict_to_file(run, source, out, segments=True, threshold=0.4)
        assert spans(rows(out), "high") == [(20.0, 20.9)]
        frames = out.with_name(f"{source.stem}-frames.csv")
        predict_to_file(run, source, frames, frames=True, top_k=1)
        assert (rows(frames)[-1]["start_seconds"], rows(frames)[-1]["end_seconds"]) == ("20.0", "20.9")
    listened = audiobag.load(run).listen(path)
    assert [one[:3] for one in listened.segments(0.4) if one[2] == "high"] == [(20.0, pytest.approx(20.9), "high")]
    assert listened.played.seconds == pytest.approx(20.9)
    assert listened.picture().axes[0].get_xlim() == (0, pytest.approx(20.9))
    sound = tmp_path / "x.mp3"
    sound.write_bytes(listened.played.mp3)
    assert soundfile.info(sound).duration == pytest.approx(20.9, abs=0.15)


@pytest.mark.parametrize("seconds", [3.25, 63.5, 64.0])
def test_the_sound_of_a_page_ends_with_the_recording(seconds: float, tmp_path: Path) -> None:
    """Windows of a second are read 64 at a time, and silence fills the last one."""
    path = write(tmp_path / "x.wav", noise(seconds))
    played = play(SoundFile(path, "x.wav"))
    assert played.seconds == pytest.approx(seconds)
    sound, rate = soundfile.read(io.BytesIO(played.mp3))
    assert len(sound) / rate == pytest.approx(seconds, abs=0.1)


def test_the_page_plays_the_recording_and_is_whole(run: Path, street: Path, tmp_path: Path) -> None:
    listened = audiobag.load(run).listen(street, clip_seconds=5)
    listened.write_page(tmp_path / "x.html")
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "Straße &#39;A&#39;.wav" in html
    data = json.loads(re.search(r"const data = (\{.*\});", html)[1])  # type: ignore[index]
    assert data["names"] == [name for name, _ in listened.top()]
    assert [3.0, 7.0, "low"] in [one[:3] for one in data["segments"]]
    assert len(data["f"][0]) == 25
    (tmp_path / "x.mp3").write_bytes(base64.b64decode(re.search(r"data:audio/mpeg;base64,([^\"]+)", html)[1]))  # type: ignore[index]
    assert soundfile.info(tmp_path / "x.mp3").duration == pytest.approx(25, abs=0.2)
    assert listened._repr_png_().startswith(b"\x89PNG")


def test_names_of_files_and_classes_cannot_leave_the_page(run: Path, street: Path, tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(1)<b>.wav"
    shutil.copy(street, path)
    tagger = audiobag.load(run)
    object.__setattr__(tagger.model_config, "class_names", ("</script><b>", "<!--", "x"))
    tagger.listen(path).write_page(tmp_path / "x.html")
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert html.count("<script>") == html.count("</script>") == 1
    assert "<!--" not in html


def segment(index: int, start: float, end: float, probability: float = 0.5) -> Segment:
    return Segment(index, probability, start, end, probability, 0.5)


def test_segments_join_only_where_clips_of_one_recording_meet() -> None:
    joiner = Joiner()
    assert joiner.add(b"a", 0, 10, [segment(0, 8, 10), segment(1, 0, 4)]) == []
    done = joiner.add(b"a", 10, 20, [segment(0, 10, 20, 0.9), segment(1, 10, 12)])
    assert done == [(b"a", segment(1, 0, 4))]
    (_, joined), other = joiner.add(b"a", 30, 40, [segment(0, 30, 31)])
    assert (joined.probability, joined.start_seconds, joined.end_seconds, joined.measure) == (0.9, 8, 20, 1.0)
    assert joined.frame == pytest.approx((2 * 0.5 + 10 * 0.9) / 12)
    assert other == (b"a", segment(1, 10, 12))
    assert joiner.add(b"b", 40, 50, []) == [(b"a", segment(0, 30, 31))]
    assert joiner.end() == []
