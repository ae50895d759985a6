from __future__ import annotations

import fcntl
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from audiobag.data.store import Store, open_store
from audiobag.labels import audioset_classes
from audiobag.prepare import default_out, gather
from audiobag.prepare.locate import open_source
from audiobag.prepare.records import Clip, write_shard
from audiobag.prepare.source import Rejects
from audiobag.prepare.synthetic import Synthetic
from tests.prepare.conftest import Prepare, make_clips, pack


def clip_of(store: Store, i: int) -> Clip:
    columns = store.columns
    start, end = columns.offsets[i : i + 2]
    labels = slice(*columns.label_offsets[i : i + 2])
    witness = None
    if columns.witness_offsets is not None and columns.witness_frames is not None:
        ends = columns.witness_offsets
        witness = [columns.witness_frames[ends[j] : ends[j + 1]].tolist() for j in range(labels.start, labels.stop)]
    ids = tuple(columns.label_ids[labels].tolist())
    times = float(columns.start_seconds[i]), float(columns.end_seconds[i])
    return Clip(bytes(columns.video_id[i]), store.frames[start:end], ids, *times, witness)


def test_the_store_has_every_clip_sorted_by_id(release: Path, run: Prepare, tmp_path: Path) -> None:
    run(release)
    for split, n, seed in (("bal_train", 12, 1), ("eval", 6, 2)):
        store = open_store(tmp_path / "out" / f"{split}.h5")
        expected = sorted(make_clips(n, seed=seed))
        assert len(store) == n
        for i, clip in enumerate(expected):
            found = clip_of(store, i)
            np.testing.assert_array_equal(found.frames, clip.frames)
            assert found._replace(frames=clip.frames) == clip._replace(label_ids=tuple(sorted(clip.label_ids)))
        assert store.columns.label_ids.dtype == np.int16
        assert store.frames.dtype == np.uint8
        description = store.description
        assert (description.scale, description.offset, description.frame_seconds) == (1 / 128, -1.0, 1.0)
        assert description.class_names == audioset_classes().names
        assert description.source == str(release)


def test_witness_frames_are_stored_by_label(tmp_path: Path, run: Prepare) -> None:
    clips = make_clips(20, seed=3, witness=True)
    write_shard(tmp_path / "eval" / "a.tfrecord", clips)
    run(tmp_path / "eval")
    store = open_store(tmp_path / "out" / "eval.h5")
    for i, clip in enumerate(sorted(clips, key=lambda clip: clip.video_id)):
        assert clip.witness is not None
        shown = {k: sorted(set(map(int, by))) for k, by in zip(clip.label_ids, clip.witness, strict=True)}
        assert clip_of(store, i).witness == [shown[k] for k in sorted(shown)]


def checksums(out: Path) -> dict[str, str]:
    return {path.stem: open_store(path).content_sha256 for path in sorted(out.glob("*.h5"))}


def test_packing_does_not_change_the_stores(release: Path, run: Prepare, tmp_path: Path) -> None:
    compressed = shutil.copytree(release, tmp_path / "compressed")
    for shard in compressed.rglob("*.tfrecord"):
        shard.write_bytes(gzip.compress(shard.read_bytes()))
    sources = [
        release,
        compressed,
        pack(release, tmp_path / "r.tar", "w"),
        pack(release, tmp_path / "r.tar.gz", "w:gz", lambda name: f"audioset_v1_embeddings/{name}"),
        pack(compressed, tmp_path / "c.tgz", "w:gz", lambda name: f"./{name}"),
    ]
    found = []
    for i, source in enumerate(sources):
        run(source, tmp_path / f"out{i}")
        found.append(checksums(tmp_path / f"out{i}"))
    assert list(found[0]) == ["bal_train", "eval"]
    assert all(other == found[0] for other in found[1:])


def test_an_archive_may_begin_like_a_compressed_one(release: Path, run: Prepare, tmp_path: Path) -> None:
    """`80` is the header of a zlib stream."""
    archive = pack(release, tmp_path / "x.tar", "w", names=lambda name: f"80s/{name}")
    assert sum(split.clips for split in run(archive).splits) == 18


def test_block_size_does_not_change_the_stores(release, run: Prepare, tmp_path, monkeypatch) -> None:
    run(release, tmp_path / "whole")
    monkeypatch.setattr(gather, "BLOCK_BYTES", 1)
    run(release, tmp_path / "blocks")
    assert checksums(tmp_path / "whole") == checksums(tmp_path / "blocks")


def test_a_single_split_or_shard_is_a_source_and_hidden_files_are_ignored(
    release: Path, run: Prepare, tmp_path: Path
) -> None:
    (release / "eval" / "._A.tfrecord").write_bytes(b"metadata of macOS")
    (release / "eval" / "notes.txt").write_bytes(b"about")
    assert [split.clips for split in run(release / "eval", tmp_path / "a").splits] == [6]
    alone = run(release / "eval" / "A.tfrecord", tmp_path / "b")
    assert [(split.name, split.clips) for split in alone.splits] == [("eval", 3)]


def test_a_second_run_does_nothing(release: Path, run: Prepare, tmp_path: Path) -> None:
    first = run(release)
    files = {path: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    second = run(release)
    assert not first.unchanged
    assert second.unchanged
    assert second.splits == first.splits
    assert {path: path.stat().st_ino for path in (tmp_path / "out").iterdir()} == files
    assert "nothing to do" in rendered(second)
    assert not run(release, force=True).unchanged


@pytest.mark.parametrize(
    "change",
    [
        lambda release, out: write_shard(release / "eval" / "new.tfrecord", make_clips(1, seed=5, prefix="new")),
        lambda release, out: (release / "eval" / "A.tfrecord").touch(),
        lambda release, out: (out / "eval.h5").unlink(),
        lambda release, out: (out / "eval.h5").write_bytes(b"damaged"),
    ],
    ids=["a new shard", "a newer shard", "a store gone", "a store damaged"],
)
def test_a_changed_source_or_store_is_prepared_again(release: Path, run: Prepare, tmp_path: Path, change) -> None:
    run(release)
    change(release, tmp_path / "out")
    assert not run(release).unchanged
    assert run(release).unchanged


def test_stores_with_skipped_records_are_not_accepted_without_skipping(release: Path, run: Prepare) -> None:
    (release / "eval" / "A.tfrecord").write_bytes(b"")
    run(release, on_error="skip")
    again = run(release, on_error="skip")
    assert again.unchanged
    assert again.rejected == 1
    with pytest.raises(ValueError, match="the shard is empty"):
        run(release)


def test_other_splits_in_the_same_folder_are_kept(release: Path, run: Prepare, tmp_path: Path) -> None:
    run(release / "eval")
    before = checksums(tmp_path / "out")
    run(release / "bal_train")
    assert checksums(tmp_path / "out").items() >= before.items()
    assert run(release / "eval").unchanged


def test_a_failed_run_keeps_the_old_stores_and_leaves_no_files(release, run: Prepare, tmp_path, monkeypatch) -> None:
    run(release)
    before = checksums(tmp_path / "out")
    write_shard(release / "bal_train" / "D.tfrecord", make_clips(3, seed=4, prefix="more"))
    written = []

    def second_write_fails(path: Path, **arguments: object) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        path.write_bytes(b"")

    monkeypatch.setattr(gather, "write_store", second_write_fails)
    with pytest.raises(OSError, match="No space"):
        run(release)
    assert len(written) == 2
    assert checksums(tmp_path / "out") == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".prepare.lock", "bal_train.h5", "eval.h5"]


def test_the_files_of_a_killed_run_are_removed(release: Path, run: Prepare, tmp_path: Path) -> None:
    (tmp_path / "out" / ".preparing" / "records").mkdir(parents=True)
    run(release)
    assert not (tmp_path / "out" / ".preparing").exists()


def test_two_runs_do_not_write_to_one_folder(release: Path, run: Prepare, tmp_path: Path) -> None:
    run(release)
    with (tmp_path / "out" / ".prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another audiobag command is writing to"):
            run(release, force=True)
        assert run(release).unchanged  # reads only


def test_an_output_folder_that_cannot_be_created_is_refused(release: Path, run: Prepare, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"^out must be a folder that can be written to, got .*file/out \(Not a d"):
        run(release, tmp_path / "file" / "out")


def test_a_folder_of_many_splits_is_refused(tmp_path: Path, run: Prepare) -> None:
    for i in range(65):
        write_shard(tmp_path / "release" / f"{i:02}" / "A.tfrecord", make_clips(1, seed=i))
    with pytest.raises(ValueError, match="more than 64 folders contain shards"):
        run(tmp_path / "release")


def test_the_summary_has_the_counts_of_the_source(release: Path, run: Prepare) -> None:
    summary = run(release)
    bal_train = summary.splits[0]
    clips = make_clips(12, seed=1)
    lengths = [len(clip.frames) for clip in clips]
    present = {k for clip in clips for k in clip.label_ids}
    assert bal_train.positives == sum(len(clip.label_ids) for clip in clips)
    assert bal_train.frames_per_clip == tuple((n, n, lengths.count(n)) for n in sorted(set(lengths)))
    assert len(bal_train.without_positives) == 527 - len(present)
    text = rendered(summary)
    for shown in ("bal_train", "eval", str(bal_train.positives), "clips/s", str(527 - len(present))):
        assert shown in text


def test_the_synthetic_data_set_is_prepared(tmp_path: Path, run: Prepare) -> None:
    summary = run("synthetic", size="tiny")
    assert [split.name for split in summary.splits] == ["bal_train", "eval"]
    store = open_store(tmp_path / "out" / "eval.h5")
    assert store.description.source == "synthetic"
    assert store.columns.witness_frames is not None
    assert run("synthetic", size="tiny").unchanged
    with pytest.raises(ValueError, match=r"^size must be one of tiny, small, full, got huge$"):
        run("synthetic", size="huge")


def test_progress_adds_up_to_the_size_of_the_source(release: Path, tmp_path: Path) -> None:
    sources = [open_source(path, "test") for path in (release, pack(release, tmp_path / "release.tar.gz"))]
    for source in (*sources, Synthetic("tiny")):
        read: list[int] = []
        for part in source.parts(Rejects("stop"), read.append):
            assert list(part.clips)
        assert sum(read) == source.size


def rendered(summary: object) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(summary)
    return capture.get()


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("synthetic", "data/synthetic/tiny"),
        ("../shared/audioset/features.tar.gz", "data/audioset"),
        ("http://example.org/features/features.tar.gz", "data/audioset"),
        ("mine/birds.npz", "data/birds"),
        ("birds.h5", "data/birds"),
    ],
)
def test_the_default_folder_depends_on_the_source(source: str, out: str) -> None:
    assert default_out(source, "tiny") == Path(out)


def test_a_record_that_ends_before_it_starts_is_named(tmp_path: Path, run: Prepare) -> None:
    clips = make_clips(3, seed=1)
    clips[1] = clips[1]._replace(start_seconds=7.0, end_seconds=2.0)
    clips[2] = clips[2]._replace(start_seconds=float("nan"), end_seconds=float("nan"))  # unknown
    write_shard(tmp_path / "eval" / "a.tfrecord", clips)
    named = f"^eval/a.tfrecord, record 2: video id {clips[1].video_id.decode()}: the clip lasts from 7.0 to 2.0 s"
    with pytest.raises(ValueError, match=named.replace("eval/", "")):
        run(tmp_path / "eval")
    (split,) = run(tmp_path / "eval", on_error="skip").splits
    assert (split.clips, split.rejected) == (2, 1)
