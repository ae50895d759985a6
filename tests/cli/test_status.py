"""audiobag-status on folders as runs leave them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from audiobag.cli.status import main
from audiobag.runs.presence import Stage, write_presence
from audiobag.runs.status import RunState, status, statuses
from audiobag.utils.files import write_json, write_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep with a run in each state."""
    for name in ("waiting", "running", "done", "interrupted", "failed", "killed"):
        write_text(tmp_path / name / "job.yaml", "")
    for name, stage in (
        ("running", Stage.TRAINING),
        ("interrupted", Stage.INTERRUPTED),
        ("failed", Stage.FAILED),
        ("killed", Stage.SCORING),
    ):
        write_json(tmp_path / name / "config.json", {})
        write_presence(
            tmp_path / name / "progress.json", stage, step=3, max_steps=8, steps_per_second=2.0, seconds_left=95
        )
    os.utime(tmp_path / "killed" / "progress.json", (1, 1))
    told = json.loads((tmp_path / "killed" / "progress.json").read_text())
    (tmp_path / "killed" / "progress.json").write_text(json.dumps({**told, "host": "elsewhere"}))
    os.utime(tmp_path / "killed" / "progress.json", (1, 1))
    write_text(tmp_path / "failed" / "job.log", "one\ntwo\nit broke\n")
    write_json(tmp_path / "done" / "metrics.json", {"status": "done", "val": {"mAP": 0.25}, "test": {"mAP": 0.5}})
    return tmp_path


def test_states(folder: Path) -> None:
    for name in ("config.json", "class_names.json"):  # an export, which is not a run
        write_text(folder / "export" / name, "{}")
    found = {one.path.name: one for one in statuses([folder, folder / "done"])}
    states = {name: one.state.value for name, one in found.items()}
    assert states == {name: "failed" if name == "killed" else name for name in states}
    assert len(states) == 6
    assert found["running"].where["pid"] == os.getpid()
    assert found["running"].numbers["seconds_left"] == 95
    assert found["done"].scores == {"val": 0.25, "test": 0.5}
    assert found["failed"].log == ["one", "two", "it broke"]
    assert found["killed"].log == ["(its process ended without saying why)"]


def test_a_folder_in_which_a_command_was_refused_is_no_run(tmp_path: Path) -> None:
    write_text(tmp_path / "refused" / "train.log", "")
    assert statuses([tmp_path]) == []


def test_a_folder_with_a_damaged_record_counts_as_failed(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{")
    assert status(tmp_path).state is RunState.FAILED


def test_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys, "argv", ["audiobag-status", str(folder), "--lines", "1"])
    before = sorted(folder.rglob("*"))
    main()
    shown = capsys.readouterr().out
    assert "step 3/8, 2 steps/s, 1:35 left" in shown
    assert "val/mAP 0.2500, eval mAP 0.5000" in shown
    assert "it broke" in shown
    assert "two" not in shown
    assert "2 failed" in shown
    monkeypatch.setattr(sys, "argv", ["audiobag-status", str(folder), "--json"])
    main()
    assert {one["state"] for one in json.loads(capsys.readouterr().out)} == {state.value for state in RunState}
    assert sorted(folder.rglob("*")) == before


def test_the_lines_of_a_pipe_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{'experiment-ensemble-long__' * 4}seed-{i}" for i in (0, 1)]
    for name in names:
        write_text(tmp_path / name / "job.yaml", "")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["audiobag-status", str(tmp_path)])
    main()
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown[1:3]] == [[name, "waiting"] for name in names]


def test_a_missing_folder_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["audiobag-status", "nowhere"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == "audiobag: no folder at nowhere: give the folder of a run or of a sweep\n"


def test_a_job_that_was_submitted_again_waits_with_its_number(folder: Path) -> None:
    for name in ("waiting", "failed", "interrupted"):
        write_json(folder / name / "submitted.json", {"slurm_job": "7_2"})
        os.utime(folder / name / "submitted.json", (2**31, 2**31))
        found = status(folder / name)
        assert (found.state, found.where, found.log) == (RunState.WAITING, {"slurm_job": "7_2"}, [])
    os.utime(folder / "failed" / "submitted.json", (1, 1))
    assert status(folder / "failed").state is RunState.FAILED
