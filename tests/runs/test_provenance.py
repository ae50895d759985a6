"""The revision of the source, and of code that lies in a checkout of something else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from audiobag.runs.provenance import git_changes, git_revision


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True, timeout=30)

    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "code.py").write_text("a = 1\n")
    git("init")
    git("add", ".")
    git("-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "-m", "first")
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "package.py").write_text("b = 2\n")
    return tmp_path


def test_a_tracked_folder_has_the_revision_of_its_checkout(checkout: Path) -> None:
    revision = git_revision(checkout / "source")
    assert revision is not None
    assert len(revision) == 40
    assert git_changes(checkout / "source") == ""
    (checkout / "source" / "code.py").write_text("a = 3\n")
    assert git_revision(checkout / "source" / "code.py") == f"{revision}-dirty"
    changes = git_changes(checkout / "source")
    assert "-a = 1\n+a = 3\n" in changes


def test_the_changes_are_a_patch_that_git_applies(checkout: Path) -> None:
    """The last line of this one is an empty line of context."""
    code = checkout / "source" / "code.py"
    git = ["git", "-C", str(checkout), "-c", "user.name=me", "-c", "user.email=me@example.org"]
    code.write_text("a = 1\n\n\n")
    subprocess.run([*git, "commit", "--all", "-m", "second"], check=True, capture_output=True, timeout=30)
    code.write_text("a = 4\n\n\n")
    changes = git_changes(code)
    subprocess.run([*git, "checkout", "source/code.py"], check=True, capture_output=True, timeout=30)
    subprocess.run([*git, "apply", "-"], input=changes.encode(), check=True, timeout=30)
    assert code.read_text() == "a = 4\n\n\n"


def test_a_package_that_is_installed_within_a_checkout_has_none(checkout: Path) -> None:
    assert git_revision(checkout / "installed") is None
    assert git_changes(checkout / "installed") == ""
    assert git_revision(checkout.parent) is None
