"""Runs below folders, also behind symbolic links."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiobag.runs.finding import real_run_folders, run_folders
from audiobag.runs.status import statuses


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep whose one run is a link, with a link that closes a loop, one that leads nowhere, and a second way."""
    (tmp_path / "elsewhere" / "run").mkdir(parents=True)
    (tmp_path / "elsewhere" / "run" / "metrics.json").write_text('{"status": "done"}')
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "first").symlink_to(tmp_path / "elsewhere" / "run")
    (sweep / "again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (sweep / "loop").symlink_to(tmp_path, target_is_directory=True)
    (sweep / "gone").symlink_to(tmp_path / "absent")
    return sweep


def test_a_run_behind_links_is_found_once(sweep: Path) -> None:
    assert list(run_folders(sweep)) == [sweep / "again" / "run"]


def test_several_folders_give_the_real_folder_once(sweep: Path) -> None:
    real = sweep.parent / "elsewhere" / "run"
    assert real_run_folders([sweep, sweep / "first", real]) == [real]
    assert [one.path for one in statuses([sweep])] == [real]


def test_a_link_is_as_good_as_the_folder_of_a_run(sweep: Path) -> None:
    assert list(run_folders(sweep / "first")) == [sweep / "first"]
