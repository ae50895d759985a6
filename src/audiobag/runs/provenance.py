"""Provenance of a result: versions of packages, and the revision of the source."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = (
    "audiobag",
    "torch",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "wandb",
    "h5py",
    "numpy",
)


def provenance() -> dict[str, Any]:
    """Return the versions of the installed packages that can change a result, and the revision of the source."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    # An image and the snapshot of a sweep are no checkouts: this variable has the revision that they were made from.
    revision = git_revision(Path(__file__).parents[1]) or os.environ.get("AUDIOBAG_REVISION")
    return {"versions": versions, "git_revision": revision}


def git_revision(path: Path) -> str | None:
    """Return the revision of the checkout that a file or folder belongs to, with `-dirty` if anything is changed.

    None if it belongs to none: a package that is installed in a checkout of something else is not a part of it.
    """
    if _git(path, "ls-files", "--error-unmatch", "--", str(path)) is None:
        return None
    return _git(path, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def git_changes(path: Path) -> str:
    """Return the uncommitted changes of a file or folder in a checkout, as a diff; empty if there are none.

    Files that are not tracked are not in it.
    """
    changed = git_revision(path) and _git(path, "diff", "HEAD", "--no-color", "--no-ext-diff", "--", str(path))
    return f"{changed}\n" if changed else ""


def _git(path: Path, *arguments: str) -> str | None:
    """Return what git prints; None if it fails or is not installed."""
    command = ["git", "-C", str(path if path.is_dir() else path.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.rstrip("\n")
