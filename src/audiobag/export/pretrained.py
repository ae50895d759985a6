"""The taggers that are shipped in the package, by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from audiobag.runs import resolve_checkpoint
from audiobag.runs.finding import EXPORT

FOLDER = Path(str(files("audiobag"))) / "assets" / "pretrained"
"""Has an export folder for each shipped tagger."""


def shipped() -> dict[str, Path]:
    """Return the export folder of each shipped tagger, by its name."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/config.json"))}


def export_folder(model: str | Path) -> Path | None:
    """Return the export folder that a path or the name of a shipped tagger means; None for anything else.

    A path that exists takes precedence over a name.
    """
    path = Path(model)
    if not path.exists():
        return shipped().get(str(model))
    return path if (path / EXPORT).is_file() else None


def locate(model: str | Path) -> Path:
    """Return the checkpoint or export folder that a path or the name of a shipped tagger means.

    A path that exists takes precedence over a name. One that is neither is returned unchanged.

    Args:
        model: see `load`.

    Raises:
        ValueError: the path is a run that is not complete or has lost its checkpoint.
    """
    path = resolve_checkpoint(model)
    return path if path.exists() else shipped().get(str(model), path)
