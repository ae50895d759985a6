"""What a result was made with: versions of packages, and the revision of the source."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STACK = (
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
    """Return the versions of the packages that decide a result, and the revision of the source."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _STACK}},
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """Return the revision of the source, `-dirty` where it has changes; None where nothing tells.

    An image is no checkout: it carries the revision that it was built from in AUDIOBAG_REVISION.
    """
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("AUDIOBAG_REVISION")
