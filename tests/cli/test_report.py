from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from audiobag.cli.folders import name_folders


def read_back(arguments: list[str]) -> object:
    """What Hydra makes of `runs=...`."""
    override = OverridesParser.create().parse_override(arguments[-1])
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
def test_a_folder_reaches_the_command_as_it_stands(folder: str) -> None:
    assert read_back(name_folders([folder])) == {"runs": [folder]}


def test_overrides_and_flags_stay_hydras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pooling=max,seed=0").mkdir()
    given = ["a", "baseline=average", "--cfg", "job", "pooling=max,seed=0", "out=docs/x", "b"]
    named = name_folders(given)
    assert named[:-1] == ["baseline=average", "--cfg", "job", "out=docs/x"]
    assert read_back(named) == {"runs": ["a", "pooling=max,seed=0", "b"]}
    assert name_folders(["--help"]) == ["--help"]


def test_the_report_starts_without_torch() -> None:
    code = "import sys, audiobag.report; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)
