"""However many processes read a source, what comes of it is the same, down to what is wrong with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audiobag.errors import UserError
from audiobag.prepare import reading, shards
from audiobag.prepare.reading import read_pieces, worthwhile_processes
from audiobag.prepare.records import write_shard
from audiobag.prepare.source import Advance, Part, Rejects
from audiobag.store import open_store
from tests.prepare.conftest import Prepare, make_clips, pack


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece for each shard, and processes for the smallest source."""
    monkeypatch.setattr(shards, "_PIECE_BYTES", 1)
    monkeypatch.setattr(reading, "_BYTES_PER_PROCESS", 1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 shards in two splits, some of them bad."""
    folder = tmp_path_factory.mktemp("release")
    for split, seed in (("bal_train", 1), ("eval", 2)):
        clips = make_clips(400, seed=seed, witness=split == "eval")
        for i in range(20):
            write_shard(folder / split / f"{i:02}.tfrecord", clips[i::20])
    # The very first, which another process reads while this one goes on.
    whole = (folder / "bal_train" / "00.tfrecord").read_bytes()
    (folder / "bal_train" / "00.tfrecord").write_bytes(whole[:-1])
    (folder / "bal_train" / "05.tfrecord").write_bytes(b"")
    whole = (folder / "eval" / "07.tfrecord").read_bytes()
    (folder / "eval" / "07.tfrecord").write_bytes(whole[: len(whole) // 2])
    write_shard(folder / "eval" / "08.tfrecord", make_clips(3, seed=3, prefix="plain"))  # without witness
    write_shard(folder / "eval" / "09.tfrecord", make_clips(2, seed=2, witness=True))  # ids that others have
    return folder


def outcome(out: Path) -> tuple[dict[str, str], str]:
    stores = {path.stem: open_store(path).content_sha256 for path in sorted(out.glob("*.h5"))}
    return stores, (out / "rejected.csv").read_text()


@pytest.mark.usefixtures("small_pieces")
def test_the_number_of_processes_changes_nothing(many: Path, run: Prepare, tmp_path: Path) -> None:
    for source in (many, pack(many, tmp_path / "many.tar.gz")):
        found = []
        for processes in (1, 2, 3):
            out = tmp_path / f"{source.name}-{processes}"
            run(source, out, on_error="skip", processes=processes)
            found.append(outcome(out))
        stores, rejected = found[0]
        assert list(stores) == ["bal_train", "eval"]
        for finding in ("the shard is empty", "truncated", "witness frames", "repeated video id"):
            assert finding in rejected
        assert found[1] == found[2] == found[0]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("processes", [1, 3])
def test_the_first_bad_record_is_named(many: Path, run: Prepare, tmp_path: Path, processes: int) -> None:
    with pytest.raises(UserError, match=r"^bal_train/00.tfrecord, record 20: truncated"):
        run(many, processes=processes)
    # Packed last first.
    with pytest.raises(UserError, match=r"^eval/08.tfrecord, record 1: .* are mixed"):
        run(pack(many, tmp_path / "many.tar"), processes=processes)


@pytest.mark.usefixtures("small_pieces")
def test_a_shard_too_large_to_keep_is_read_where_it_streams(
    many: Path, run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(many, tmp_path / "many.tar.gz")
    run(archive, tmp_path / "kept", on_error="skip", processes=2)
    monkeypatch.setattr(shards, "_MOST_KEPT", 10_000)
    run(archive, tmp_path / "streamed", on_error="skip", processes=2)
    assert outcome(tmp_path / "streamed") == outcome(tmp_path / "kept")


@dataclass
class Fatal:
    """A piece that no process survives but this one."""

    home: int
    portable: bool = True

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        if os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from ()


def test_a_process_that_is_killed_is_named(tmp_path: Path) -> None:
    pieces = (Fatal(os.getpid()) for _ in range(8))
    with pytest.raises(UserError, match=r"a process that read the source was killed.*processes="):
        list(read_pieces(pieces, tmp_path, "stop", lambda size: None, 2))


@pytest.mark.usefixtures("small_pieces")
def test_progress_adds_up_to_the_size(many: Path, tmp_path: Path) -> None:
    source = shards.ShardFolder(many, "test")
    for processes in (1, 2):
        read: list[int] = []
        work = tmp_path / str(processes)
        work.mkdir()
        list(read_pieces(source.pieces(read.append), work, "skip", read.append, processes))
        assert sum(read) == source.size


@pytest.mark.parametrize(("most", "size", "expected"), [(8, 1000, 1), (8, 2**28, 2), (8, 2**40, 8), (1, 2**40, 1)])
def test_small_sources_are_not_worth_a_process(most: int, size: int, expected: int) -> None:
    assert worthwhile_processes(most, size) == expected


@pytest.mark.parametrize("processes", [0, -1, True])
def test_what_processes_cannot_be_is_a_mistake(release: Path, run: Prepare, processes: object) -> None:
    with pytest.raises(UserError, match=f"^processes={processes}; expected a whole number of at least 1$"):
        run(release, processes=processes)
