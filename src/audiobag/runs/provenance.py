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
    return {"versions": versions, "git_revision": _git_revision()}


def _git_revision() -> str | None:
    """Return the revision of the source, with `-dirty` if it has changes; None if it is unknown.

    An image has no checkout, and carries the revision that it was built from in AUDIOBAG_REVISION.
    """
    folder = str(Path(__file__).parent)
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("AUDIOBAG_REVISION")
