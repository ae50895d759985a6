"""The wheel holds every module and every YAML, and trains from another directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import make_store

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: a build leaves its folder behind, and a later wheel would take what it finds there.
    source = folder / "source"
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    kinds = {".py", ".yaml", ".csv", ".typed", ".html", ".js", ".css", ".j2", ".json", ".md", ".safetensors"}
    expected = {
        *(str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*") if p.suffix in kinds),
        *("audiobag/" + str(p.relative_to(ROOT)) for p in (ROOT / "conf").rglob("*") if p.suffix in kinds),
        *("audiobag/py.typed",),
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
        licences = {Path(n).name for n in archive.namelist() if "/licenses/" in n}
    assert packed == {n for n in expected if "__pycache__" not in n}
    assert licences == {"LICENSE", "NOTICE"}


def test_citation_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version} - " in (ROOT / "CHANGELOG.md").read_text()


def test_installed_wheel_sweeps_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    make_store(tmp_path / "data" / "bal_train.h5")
    make_store(tmp_path / "data" / "eval.h5", seed=1)
    # The checkout's editable install must not answer in its place: no site-packages hooks, paths by hand.
    paths = [str(site), *(p for p in sys.path if p.endswith("site-packages"))]
    code = "import audiobag, sys; assert 'site' in audiobag.__file__; from audiobag.cli.train import main; main()"
    options = ["data.root=data", "embedding.width=4", "trainer.max_steps=1", "data.batch_size=8", "seed=0,1"]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, "-m", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert sorted(p.parent.name for p in folder.rglob("metrics.json")) == ["seed-0", "seed-1"]
