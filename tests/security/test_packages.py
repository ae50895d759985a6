"""The installed packages are the pinned ones, and their licences are compatible with audiobag's."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import load_script

ROOT = Path(__file__).parents[2]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    return load_script(ROOT / "docs" / "licences.py")


def test_every_package_that_audiobag_needs_is_installed_at_its_pinned_version(licences: ModuleType) -> None:
    packages = licences.needed("audiobag")
    assert len(packages) > 40
    installed = {name: p.version.split("+")[0] for name, p in packages.items() if name != "audiobag"}
    assert {name: pins().get(name) for name in installed} == installed


def test_all_other_installed_packages_are_pinned_too() -> None:
    names = {canonicalize_name(d.metadata["Name"]) for d in distributions()}
    assert names - pins().keys() <= {"audiobag", "pip", "setuptools", "wheel"}


def test_compromised_releases_are_excluded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (lightning,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "lightning")
    assert "2.6.6" in lightning.specifier
    assert "2.6.2" not in lightning.specifier
    assert "2.6.3" not in lightning.specifier


def test_licences_are_listed_and_compatible_with_apache(licences: ModuleType) -> None:
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", licences.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name: (version, licence) for name, version, licence in rows if version not in ("version", "---")}
    packages = {name: p for name, p in licences.needed("audiobag").items() if name != "audiobag"}
    assert listed == {n: (p.version.split("+")[0], licences.licence(p)) for n, p in packages.items()}
    copyleft = {name: licence for name, (_, licence) in listed.items() if re.search(r"GPL|General Public", licence)}
    assert copyleft == {}
    assert [name for name, (_, licence) in listed.items() if licence == "not declared"] == []
