"""The folders of runs as a report names them: relative to the folder that the user gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from audiobag.runs.finding import run_folders


def shortener(folders: Sequence[Path]) -> Callable[[str], str]:
    """Return a function that writes the paths of runs in a text relative to the folder in which they were found.

    Of several folders, each path begins with the name of its folder.

    Args:
        folders: folders of runs or of sweeps.
    """
    names: dict[str, str] = {}
    for folder in folders:
        first = Path(folder.resolve().name if len(folders) > 1 else "")
        for run in run_folders(folder):
            names.setdefault(str(run.resolve()), str(first / run.relative_to(folder)))

    def short(text: str) -> str:
        for path in sorted(names, key=len, reverse=True):  # run-10 before run-1
            name = names[path]
            text = text.replace(f"{path}/", "" if name == "." else f"{name}/")
            text = text.replace(path, Path(path).name if name == "." else name)
        return text

    return short
