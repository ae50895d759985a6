"""Reading sound files: formats, streams of windows, and bad files of many kinds."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from audiobag.sound import LogMel
from audiobag.sound.files import find_files, is_sound
from audiobag.sound.mp3 import mp3_length
from audiobag.sound.reading import SoundFile
from audiobag.sound.windows import End, windows
from tests.sound.making import noise, write

ENCODER = LogMel(bands=4)


def read(path: Path, encoder: LogMel = ENCODER, **options: bool) -> tuple[np.ndarray, End]:
    """Return the windows [N, C, S] of a file, and its end."""
    *found, end = windows(SoundFile(path, path.name), encoder, advance=lambda size: None, **options)
    assert isinstance(end, End)
    return np.array(found), end


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64"])
def test_every_format_gives_the_windows_of_its_samples(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x.{kind}", noise(3.3, 44_100), 44_100)
    samples, rate = soundfile.read(path, dtype="float32")
    expected = soxr.resample(samples, rate, 16_000)
    found, end = read(path)
    assert end.finding is None
    assert found.shape == (3, 1, 16_000)  # the last 0.3 s do not fill half a window
    np.testing.assert_allclose(found.reshape(-1), expected[:48_000], atol=1e-6)


def test_a_stream_of_blocks_is_resampled_as_the_whole(tmp_path: Path) -> None:
    wave = noise(20.0, 48_000)
    found, _ = read(write(tmp_path / "x.wav", wave, 48_000, subtype="FLOAT"))
    np.testing.assert_allclose(found.reshape(-1), soxr.resample(wave, 48_000, 16_000), atol=1e-6)


@pytest.mark.parametrize(("window", "hop"), [(0.975, 0.96), (0.5, 1.0), (2.0, 0.25), (1.0, 1 / 3)])
def test_windows_begin_at_whole_hops_without_drift(window: float, hop: float, tmp_path: Path) -> None:
    wave = noise(60.0)
    encoder = LogMel(bands=4, window_seconds=window, hop_seconds=hop)
    found, _ = read(write(tmp_path / "x.wav", wave, subtype="FLOAT"), encoder)
    length = round(window * 16_000)
    starts = [round(t * hop * 16_000) for t in range(1000)]
    starts = [start for start in starts if start + length / 2 <= len(wave)]
    padded = np.pad(wave, (0, length))
    np.testing.assert_array_equal(found[:, 0], [padded[s : s + length] for s in starts])


def test_channels_are_mixed_or_kept(tmp_path: Path) -> None:
    left, right = noise(2.0), noise(2.0, seed=1)
    path = write(tmp_path / "x.wav", np.stack([left, right], 1), subtype="FLOAT")
    np.testing.assert_allclose(read(path)[0].reshape(-1), (left + right) / 2, atol=1e-7)
    apart = read(path, mix=False)[0]
    np.testing.assert_array_equal(apart.transpose(1, 0, 2).reshape(2, -1), [left, right])


def test_a_short_recording_is_padded_on_request(tmp_path: Path) -> None:
    wave = noise(0.3)
    path = write(tmp_path / "x.wav", wave, subtype="FLOAT")
    found, end = read(path, pad=True)
    assert end.finding is None
    np.testing.assert_array_equal(found[:, 0], [np.pad(wave, (0, 16_000 - len(wave)))])


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (1.499, 1), (1.5, 2), (2.0, 2), (4.75, 5)])
def test_silence_fills_a_last_window_that_is_half_there(seconds: float, count: int, tmp_path: Path) -> None:
    wave = noise(seconds, 32_000)
    found, end = read(write(tmp_path / "x.wav", np.stack([wave, -wave], 1), 32_000, subtype="FLOAT"), mix=False)
    assert end.seconds == pytest.approx(seconds)
    samples = soxr.resample(wave, 32_000, 16_000)[: count * 16_000]
    expected = np.pad(samples, (0, count * 16_000 - len(samples)))
    np.testing.assert_allclose(found.transpose(1, 0, 2).reshape(2, -1), [expected, -expected], atol=1e-6)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])


def with_sample(path: Path, value: float) -> None:
    wave = noise(3.0)
    wave[20_000] = value
    write(path, wave, subtype="FLOAT")


def fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


HEADER = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16, b"data", 0)
BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("x.wav", lambda p: p.unlink(), "there is no such file"),
    "a folder": ("x.wav", lambda p: (p.unlink(), p.mkdir()), "it is not a file"),
    "empty": ("x.wav", lambda p: fill(p, b""), "it has 0 bytes"),
    "text": ("x.wav", lambda p: fill(p, b"not a sound at all"), "it begins as text, 'not a sound at all'"),
    "a page of an error": ("x.wav", lambda p: fill(p, b"<html>404</html>"), "begins as text, '<html>404"),
    "zeros": ("x.wav", lambda p: fill(p, bytes(5000)), "its first bytes are all 0"),
    "random bytes": ("x.flac", lambda p: fill(p, np.random.default_rng(0).bytes(5000)), "not a sound that libsndfile"),
    "a header only": ("x.wav", lambda p: fill(p, HEADER), "a header but no samples"),
    "half a header": ("x.wav", lambda p: fill(p, HEADER[:30]), "not a sound that libsndfile reads"),
    "truncated wav": (
        "x.wav",
        lambda p: cut(p, 0.5),
        r"truncated: its header claims 3.00 s, the file ends after 1.50 s",
    ),
    "truncated aiff": ("x.aiff", lambda p: cut(p, 0.5), "truncated: its header claims 3.00 s"),
    "truncated au": ("x.au", lambda p: cut(p, 0.5), "truncated: its header claims 3.00 s"),
    "truncated flac": ("x.flac", lambda p: cut(p, 0.5), "it is damaged after 0.00 s"),
    "truncated mp3": ("x.mp3", lambda p: cut(p, 0.5), "truncated: its header claims 3.00 s"),
    "truncated ogg": ("x.ogg", lambda p: cut(p, 0.7), "truncated: the file ends after .* without a last page"),
    "NaN": ("x.wav", lambda p: with_sample(p, np.nan), "the sample at 1.250 s is nan"),
    "infinity": ("x.wav", lambda p: with_sample(p, -np.inf), "the sample at 1.250 s is -inf"),
    "huge samples": ("x.wav", lambda p: with_sample(p, 1e30), "the sample at 1.250 s is 1e[+]30"),
    "too short": (
        "x.wav",
        lambda p: write(p, noise(0.2)),
        "it lasts 0.200 s, less than half a window of 1 s; pad_short=true",
    ),
    "another format": ("x.m4a", lambda p: fill(p, b"\0\0\0 ftypM4A "), "does not read .m4a files; convert it: ffmpeg"),
    "another format by another name": ("x.wav", lambda p: fill(p, b"\0\0\0\x20ftypM4A \1\2\3\xff"), "it is MPEG-4"),
    "a link to nothing": ("x.wav", lambda p: (p.unlink(), p.symlink_to("nothing")), "there is no such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_has_one_sentence(kind: str, tmp_path: Path) -> None:
    name, damage, message = BAD[kind]
    path = tmp_path / name
    if path.suffix == ".m4a":
        path.touch()
    else:
        write(path, noise(3.0))
    damage(path)
    _, end = read(path)
    assert end.finding is not None
    assert end.finding.count("\n") == 0
    assert re.search(message, end.finding), end.finding


def test_a_silent_file_is_told_from_a_quiet_one(tmp_path: Path) -> None:
    assert read(write(tmp_path / "x.wav", np.zeros(32_000)))[1].silent
    assert not read(write(tmp_path / "y.wav", np.full(32_000, 1e-4)))[1].silent


def test_a_wav_from_a_pipe_is_whole(tmp_path: Path) -> None:
    """Programs that cannot go back to their header claim the most that it can hold."""
    path = write(tmp_path / "x.wav", noise(2.0))
    content = bytearray(path.read_bytes())
    for at in (4, content.index(b"data") + 4):
        content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    found, end = read(path)
    assert (len(found), end.finding) == (2, None)


def without_length(path: Path) -> None:
    """Remove the first frame of an MP3, which tells the length; radio stations and other servers send none."""
    content = path.read_bytes()
    frame = content.index(content[:2], max(content.find(b"Xing"), content.find(b"Info")))
    path.write_bytes(b"ICY 200 OK\r\n" + content[frame:])


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100])
def test_an_mp3_of_a_server_is_whole(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    soundfile.write(path, noise(20.0, rate), rate, bitrate_mode="CONSTANT", compression_level=0.5)
    without_length(path)
    assert mp3_length(path).seconds == pytest.approx(20, abs=0.3)
    found, end = read(path)
    assert end.finding is None
    assert len(found) in (19, 20)


def test_an_mp3_that_libsndfile_would_cut_is_named(tmp_path: Path) -> None:
    path, wave = tmp_path / "x.mp3", noise(60.0, 44_100)
    wave[20 * 44_100 : 40 * 44_100] *= 1e-4
    soundfile.write(path, wave, 44_100, bitrate_mode="VARIABLE", compression_level=0.2)
    assert mp3_length(path).told
    assert mp3_length(path).seconds == pytest.approx(60, abs=0.2)
    assert read(path)[1].finding is None
    without_length(path)
    finding = read(path)[1].finding
    assert finding is not None
    assert "MP3 of variable bit rate without a header that states its length; convert it: ffmpeg -i 'x.mp3'" in finding


def test_sources_are_files_folders_patterns_and_lists(tmp_path: Path) -> None:
    names = ["a b.wav", "Grüße/'x'.flac", "deep/er/y.OGG"]
    for name in names:
        write(tmp_path / "in" / name, noise(1.0))
    (tmp_path / "in" / "notes.txt").write_text("no sound")
    write(tmp_path / "in" / ".hidden" / "z.wav", noise(1.0))
    assert sorted(file.name for file in find_files(tmp_path / "in")) == sorted(names)
    assert [file.name for file in find_files(tmp_path / "in" / "a b.wav")] == ["a b.wav"]
    assert [file.name for file in find_files(f"{tmp_path}/in/**/*.flac")] == ["'x'.flac"]
    (tmp_path / "in" / "list.csv").write_text("path\na b.wav\n\"Grüße/'x'.flac\"\n")
    assert [file.name for file in find_files(tmp_path / "in" / "list.csv")] == ["Grüße/'x'.flac", "a b.wav"]
    several = find_files([tmp_path / "in" / "a b.wav", tmp_path / "in", tmp_path / "in" / "deep"])
    assert len({file.path.resolve() for file in several}) == len(several) == 3


def test_a_folder_with_the_name_of_a_sound_is_no_sound(tmp_path: Path) -> None:
    write(tmp_path / "a.wav" / "b.wav", noise(1.0))
    assert [file.name for file in find_files(tmp_path)] == ["a.wav/b.wav"]


def test_files_of_one_name_in_two_folders_have_two_names(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder / "x.wav", noise(1.0))
    assert len({file.name for file in find_files([tmp_path / "one", tmp_path / "two"])}) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.mkdir(), "source must have sound files"),
        (lambda p: (p.mkdir(), (p / "x.m4a").touch()), "x.m4a, which libsndfile does not read"),
        (lambda p: None, "which is not there"),
    ],
)
def test_a_source_without_sound_is_refused(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "in")
    with pytest.raises(ValueError, match=message):
        find_files(tmp_path / "in")


def test_stores_and_shards_are_no_sound(tmp_path: Path) -> None:
    for name in ("x.h5", "x.npz", "00.tfrecord", "x.tar.gz"):
        (tmp_path / name).touch()
        assert not is_sound(tmp_path / name)
    assert not is_sound(tmp_path)
    assert not is_sound(tmp_path / "missing.h5")
    assert is_sound(write(tmp_path / "x.wav", noise(1.0)))
    assert is_sound(tmp_path)
    shutil.copy(tmp_path / "x.wav", tmp_path / "y.WAV")
    assert is_sound(tmp_path / "y.WAV")
    assert is_sound(f"{tmp_path}/*.WAV")
