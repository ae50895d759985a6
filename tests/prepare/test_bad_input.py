"""Defects of a source are named and stop the run, or are skipped and listed."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audiobag.data.store import open_store
from audiobag.prepare.records import Clip, frame_record, serialise, write_shard
from tests.prepare.conftest import Prepare, make_clips, pack

Damage = Callable[[list[bytes]], bytes]


def record(**changes: object) -> bytes:
    return frame_record(serialise(make_clips(1, seed=9, prefix="new")[0]._replace(**changes)))  # type: ignore[arg-type]


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


NO_FRAMES = np.empty((0, 128), np.uint8)
BAD_LENGTH, BAD_DATA = (f"the checksum of the record's {part} is wrong" for part in ("length", "data"))
# The damage to the four records of a shard, the number of the bad record, the finding, and how many clips are left.
CASES: dict[str, tuple[Damage, int | None, str, int]] = {
    "empty shard": (lambda _: b"", None, "the shard is empty", 0),
    "truncated data": (lambda r: b"".join(r)[:-7], 4, "truncated", 3),
    "truncated header": (lambda r: b"".join(r[:3]) + r[3][:5], 4, "truncated: 5 bytes of the record's header of 12", 3),
    "wrong CRC of a length": (lambda r: r[0] + flipped(r[1], 9) + r[2] + r[3], 2, BAD_LENGTH, 1),
    "wrong length": (lambda r: r[0] + flipped(r[1], 0) + r[2] + r[3], 2, BAD_LENGTH, 1),
    "wrong CRC of data": (lambda r: r[0] + flipped(r[1], -1) + r[2] + r[3], 2, BAD_DATA, 3),
    "damaged data": (lambda r: r[0] + flipped(r[1], 300) + r[2] + r[3], 2, BAD_DATA, 3),
    "no message": (lambda r: r[0] + frame_record(b"\xff\xff") + r[2] + r[3], 2, "not a tensorflow.SequenceExample", 3),
    "no embeddings": (lambda r: b"".join(r[:3]) + record(frames=NO_FRAMES), 4, "no audio_embedding", 3),
    "short frame": (
        lambda r: b"".join(r[:3]) + record(frames=np.zeros((2, 127), np.uint8)),
        4,
        "frame 0 of audio_embedding has 127 bytes, expected one value of 128 bytes",
        3,
    ),
    "label too high": (lambda r: record(label_ids=(3, 527)) + b"".join(r[1:]), 1, "label 527 is outside 0..526", 3),
    "label too low": (lambda r: record(label_ids=(-1,)) + b"".join(r[1:]), 1, "label -1 is outside 0..526", 3),
    "empty id": (lambda r: b"".join(r) + record(video_id=b""), 5, "the video id b'' is empty", 4),
    "id with a NUL": (lambda r: b"".join(r) + record(video_id=b"a\0"), 5, "contains a NUL byte", 4),
    "mixed witness": (
        lambda r: b"".join(r) + record(label_ids=(1,), witness=[[0]]),
        5,
        "records with witness frames and records without them are mixed",
        4,
    ),
    "repeated in the shard": (lambda r: b"".join(r) + r[2], 5, "repeated video id", 4),
}  # fmt: skip


@pytest.fixture(params=["folder", "tar.gz"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], Path]:
    """The folder itself, or an archive of it."""
    return lambda folder: folder if request.param == "folder" else pack(folder, tmp_path / "release.tar.gz")


@pytest.mark.parametrize(("damage", "number", "finding", "left"), CASES.values(), ids=CASES)
def test_a_bad_record_is_named_or_skipped(
    release: Path, run: Prepare, packed, tmp_path: Path, damage, number, finding, left
) -> None:
    shard = release / "bal_train" / "B.tfrecord"
    shard.write_bytes(damage(split_records(shard.read_bytes())))
    source = packed(release)
    where = "bal_train/B.tfrecord" + ("" if number is None else f", record {number}")
    with pytest.raises(ValueError, match=rf"^{where}: .*{finding}.*on_error=skip$"):
        run(source)
    assert list((tmp_path / "out").glob("*.h5")) == []

    summary = run(source, on_error="skip")
    bal_train, evaluation = summary.splits
    assert (bal_train.name, bal_train.clips, bal_train.rejected) == ("bal_train", 8 + left, 1)
    assert (evaluation.name, evaluation.clips, evaluation.rejected) == ("eval", 6, 0)
    (row,) = csv.DictReader(io.StringIO((tmp_path / "out" / "rejected.csv").read_text()))
    assert (row["split"], row["file"], row["record"]) == ("bal_train", "bal_train/B.tfrecord", str(number or ""))
    assert finding in row["finding"]
    assert len(open_store(tmp_path / "out" / "bal_train.h5")) == 8 + left


def split_records(data: bytes) -> list[bytes]:
    records = []
    while data:
        size = int.from_bytes(data[:8], "little") + 16
        records.append(data[:size])
        data = data[size:]
    return records


def test_of_two_clips_with_one_id_the_first_by_name_of_its_shard_is_kept(release: Path, run: Prepare, tmp_path) -> None:
    later = release / "bal_train" / "C.tfrecord"
    (first,) = (clip for i, clip in enumerate(make_clips(12, seed=1)[0::3]) if i == 3)
    later.write_bytes(record(video_id=first.video_id) + later.read_bytes())
    found = r"bal_train/C.tfrecord, record 1: repeated video id .*, which bal_train/A.tfrecord, record 4 has as well"
    for source in (release, pack(release, tmp_path / "last_first.tar.gz")):
        with pytest.raises(ValueError, match=found):
            run(source)
        run(source, on_error="skip", force=True)
        store = open_store(tmp_path / "out" / "bal_train.h5")
        place = list(store.columns.video_id).index(first.video_id)
        start, end = store.columns.offsets[place : place + 2]
        np.testing.assert_array_equal(store.frames[start:end], first.frames)


def test_shards_with_and_without_witness_frames_are_not_mixed(release: Path, run: Prepare, tmp_path: Path) -> None:
    write_shard(release / "eval" / "C.tfrecord", make_clips(3, seed=3, prefix="shown", witness=True))
    with pytest.raises(ValueError, match=r"^eval/C.tfrecord, record 1: .* are mixed"):
        run(release)
    assert run(release, on_error="skip").rejected == 3
    assert len(open_store(tmp_path / "out" / "eval.h5")) == 6


def test_two_splits_may_have_the_same_id(release: Path, run: Prepare) -> None:
    ids = [{clip.video_id for clip in make_clips(n, seed=s)} for n, s in ((12, 1), (6, 2))]
    assert ids[0] & ids[1]
    assert run(release).rejected == 0


def test_a_source_without_a_good_record_is_refused(tmp_path: Path, run: Prepare) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "a.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no good record, but 1 bad ones; the first is eval/a.tfrecord: the shard"):
        run(tmp_path, on_error="skip")


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_sources_without_shards_are_refused(tmp_path: Path, run: Prepare, on_error: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "empty.tar.gz").write_bytes(b"")
    (tmp_path / "noise.tar.gz").write_bytes(b"\x1f\x8bno archive at all" * 100)
    (tmp_path / "noise.tar").write_bytes(b"no archive at all" * 1000)
    tarfile.open(tmp_path / "nothing.tar", "w").close()
    for name, found in (
        ("empty", "empty holds no [*].tfrecord file"),
        ("absent", "there is no .*absent"),
        ("note.txt", "is of an unknown kind"),
        ("empty.tar.gz", "empty.tar.gz"),
        ("noise.tar.gz", "noise.tar.gz"),
        ("noise.tar", "noise.tar"),
        ("nothing.tar", "nothing.tar holds no [*].tfrecord file"),
    ):
        with pytest.raises(ValueError, match=found):
            run(tmp_path / name, on_error=on_error)
    assert list((tmp_path / "out").glob("*.h5")) == []


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_archive_is_refused(release: Path, run: Prepare, tmp_path: Path, mode: str) -> None:
    whole = pack(release, tmp_path / "whole", mode).read_bytes()
    # A plain tar may lose the padding after its last member.
    end = len(whole) if mode == "w:gz" else len(whole.rstrip(b"\0")) + 512
    cut = tmp_path / "cut.tar"
    for size in (*range(700, end - 1, end // 23), end - 600):
        cut.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut.tar|truncated|cannot be read|ends within"):
            run(cut)
    assert list((tmp_path / "out").glob("*.h5")) == []


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: flipped(data, -1), lambda data: flipped(data, -6)]
)
def test_the_checksum_of_a_compressed_archive_is_checked(release: Path, run: Prepare, tmp_path: Path, damage) -> None:
    archive = pack(release, tmp_path / "whole.tar.gz")
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ValueError, match=r"whole.tar.gz: the archive cannot be read to its end"):
        run(archive)


def test_clips_before_the_truncation_can_be_kept(release: Path, run: Prepare, tmp_path: Path) -> None:
    whole = pack(release, tmp_path / "whole.tar", "w").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    summary = run(tmp_path / "cut.tar", on_error="skip")
    assert 0 < sum(split.clips for split in summary.splits) < 18
    assert summary.rejected >= 1


def test_a_damaged_header_is_not_taken_for_the_end(release: Path, run: Prepare, tmp_path: Path) -> None:
    archive = pack(release, tmp_path / "whole.tar", "w")
    data = bytearray(archive.read_bytes())
    place = data.index(b"bal_train/A.tfrecord")
    data[place + 3] ^= 1
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=r"whole.tar: the archive cannot be read to its end \(damaged at byte"):
        run(archive)


def test_names_in_an_archive_are_not_used_as_paths(release: Path, run: Prepare, tmp_path: Path) -> None:
    archive = pack(release, tmp_path / "evil.tar.gz", names=lambda name: f"../../../{name}")
    out = tmp_path / "deep" / "down" / "out"
    assert [split.name for split in run(archive, out).splits] == ["bal_train", "eval"]
    assert sorted(path.name for path in out.iterdir() if path.suffix) == [".prepare.lock", "bal_train.h5", "eval.h5"]
    worse = pack(release, tmp_path / "worse.tar.gz", names=lambda name: f"../{Path(name).name}")
    with pytest.raises(ValueError, match=r"[AB].tfrecord: its folder '\.\.' is not a valid name of a split"):
        run(worse, out)


def test_links_in_an_archive_are_refused(release: Path, run: Prepare, tmp_path: Path) -> None:
    archive = pack(release, tmp_path / "links.tar", "w")
    with tarfile.open(archive, "a") as tar:
        link = tarfile.TarInfo("eval/Z.tfrecord")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ValueError, match=r"eval/Z.tfrecord: the archive holds a link"):
        run(archive)


def test_an_earlier_list_of_rejected_records_is_removed(release: Path, run: Prepare, tmp_path: Path) -> None:
    shard = release / "eval" / "A.tfrecord"
    good = shard.read_bytes()
    shard.write_bytes(b"")
    run(release, on_error="skip")
    assert (tmp_path / "out" / "rejected.csv").exists()
    shard.write_bytes(good)
    assert run(release, on_error="skip").rejected == 0
    assert not (tmp_path / "out" / "rejected.csv").exists()


def test_an_unknown_value_of_on_error_is_refused(release: Path, run: Prepare) -> None:
    with pytest.raises(ValueError, match=r"^on_error must be one of stop, skip, got ignore$"):
        run(release, on_error="ignore")


def test_a_label_repeated_in_a_clip_counts_once(tmp_path: Path, run: Prepare) -> None:
    clip = Clip(b"a", np.zeros((1, 128), np.uint8), (5, 2, 5), 0.0, 1.0)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "a.tfrecord").write_bytes(frame_record(serialise(clip)))
    run(tmp_path / "eval")
    np.testing.assert_array_equal(open_store(tmp_path / "out" / "eval.h5").columns.label_ids, [2, 5])
