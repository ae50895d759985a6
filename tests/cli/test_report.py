from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from audiobag.cli.folders import name_folders, quote_paths
from tests.commands import run_command
from tests.conftest import make_store
from tests.report.fabricate import make_run


def read_back(arguments: list[str]) -> object:
    """Return the value that Hydra reads for `runs=...`."""
    override = OverridesParser.create().parse_override(next(a for a in arguments if a.startswith("runs=")))
    return OmegaConf.to_container(OmegaConf.create({"runs": override.value()}), resolve=True)


@pytest.mark.parametrize(
    "folder",
    [
        "outputs/sweeps/table2",
        "with space",
        "it's",
        "a,b [c] {d}",
        "back\\slash\\",
        "\\'",
        "${x}",
        "\\${x}",
        "ü",
        "null",
        "1",
    ],
)
def test_a_folder_reaches_the_command_unchanged(folder: str) -> None:
    assert read_back(name_folders([folder])) == {"runs": [folder]}


def test_overrides_and_flags_are_left_to_hydra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pooling=max,seed=0").mkdir()
    given = ["a", "baseline=average", "--cfg", "job", "pooling=max,seed=0", "out=docs/x", "b"]
    named = name_folders(given)
    assert named[1:] == ["baseline=average", "--cfg", "job", "out=docs/x"]
    assert read_back(named) == {"runs": ["a", "pooling=max,seed=0", "b"]}
    assert name_folders(["--help"]) == ["--help"]


@pytest.mark.parametrize("name", ['it\'s "Ä" #1.wav', "a=b, {c} [d].wav", "1,2"])
def test_values_that_are_files_with_awkward_names_are_read_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert read_back(quote_paths([f"runs={name}"])) == {"runs": name}
    kept = ["seed=0,1", "runs=[a,b]", "pooling=max", f"out={'x,' * 200}", "-m"]
    assert quote_paths(kept) == kept


def test_the_report_starts_without_torch() -> None:
    code = "import sys, audiobag.report; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_reports_a_sweep(tmp_path: Path) -> None:
    store = make_store(tmp_path / "data" / "eval.h5", clips=60, classes=5)
    for pooling in ("average", "max"):
        make_run(tmp_path / "sweep" / f"pooling={pooling}", store, pooling=pooling)
    done = run_command("report", "sweep", "classes=class 1", "out=page", "replicates=2", "baseline=max", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning: average has no pictures of clips: no checkpoint at" in done.stdout
    assert done.stdout.startswith("average is ")
    assert "difference to max" in done.stdout
    assert "Report: page/report.html" in done.stdout
    assert (tmp_path / "page" / "precision_recall.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sweep", "dashboard=x"), "dashboard must be one of wandb, or null for none, got x"),
        (("runs=[]",), "runs must have at least one folder, of a run or of a sweep"),
        ((), "runs has no value and needs one"),
        (("sweep", "replicates=many"), "replicates"),
    ],
)
def test_wrong_values_end_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = run_command("report", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"audiobag: {sentence}")
    assert len(done.stderr.splitlines()) == 1
