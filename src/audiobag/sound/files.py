"""Finding sound files: files, folders, patterns, and lists of them in a CSV."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from audiobag.prepare.listing import file_column, read_rows
from audiobag.sound.reading import FOREIGN, SUFFIXES, SoundFile
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable

SYNTHETIC_SOUNDS: Final = "synthetic-sounds"
_WILD: Final = "*?["


def is_sound(source: str | Path) -> bool:
    """Return whether a source is sound: a sound file, a pattern or a list of them, or a folder that has some."""
    path = Path(source)
    if path.is_dir():
        return next(_in_folder(path), None) is not None
    if path.suffix.lower() in (*SUFFIXES, *FOREIGN):
        return True
    if path.suffix.lower() == ".csv" and path.is_file():
        return True
    return not path.exists() and any(c in str(source) for c in _WILD) and any(is_sound(one) for one in _matches(source))


def find_files(source: str | Path | Sequence[str | Path]) -> list[SoundFile]:
    """Return the sound files of a source, sorted by name.

    Args:
        source: a file; a folder, for all sound files in it and its subfolders; a pattern such as `takes/*.flac`, in
            which `**` stands for any folders; a CSV with a column of paths, relative to its folder; or several of
            these.

    Raises:
        ValueError: there is nothing, or no sound file.
    """
    several = source if isinstance(source, Sequence) and not isinstance(source, str) else [source]
    found = [file for one in several for file in _find(one)]
    if not found:
        raise InputError(f"source must have sound files, got {', '.join(map(str, several))}, which has none")
    return _distinct(found)


def _find(source: str | Path) -> list[SoundFile]:
    path = Path(source)
    check_readable(path)
    if path.is_dir():
        found = sorted(_in_folder(path))
        if not found:
            foreign = next((p for p in sorted(path.rglob("*")) if p.suffix.lower() in FOREIGN), None)
            kind = f"; it has {foreign.name}, which libsndfile does not read: convert it with ffmpeg" if foreign else ""
            raise InputError(
                f"source must have sound files ({', '.join(SUFFIXES[:8])}, ...), got the folder {path}{kind}"
            )
        return [SoundFile(p, p.relative_to(path).as_posix()) for p in found]
    if path.is_file():
        return _listed(path) if path.suffix.lower() == ".csv" else [SoundFile(path, path.name)]
    if any(c in str(source) for c in _WILD):
        matched = [p for p in _matches(source) if p.is_file()]
        if not matched:
            raise InputError(f"source must match files, got {source}, which matches none")
        return [SoundFile(p, p.name) for p in matched]
    raise InputError(
        f"source must be a sound file, a folder, a pattern or a CSV of paths, got {path}, which is not there"
    )


def _listed(path: Path) -> list[SoundFile]:
    """Return the files that a CSV lists, relative to its folder."""
    rows = read_rows("source", path)
    column = file_column("source", path, rows)
    names = dict.fromkeys(row[column].strip() for row in rows)
    return [SoundFile(path.parent / name, name) for name in names if name]


def _in_folder(folder: Path) -> Iterator[Path]:
    return (
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
        and not p.is_dir()
    )


def _matches(source: str | Path) -> list[Path]:
    return sorted(map(Path, glob.glob(str(source), recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern


def _distinct(files: Sequence[SoundFile]) -> list[SoundFile]:
    """Give files with the same name their path as a name, and drop those that are named twice."""
    unique = list({file.path.resolve(): file for file in files}.values())
    count: dict[str, int] = {}
    for file in unique:
        count[file.name] = count.get(file.name, 0) + 1
    named = [file if count[file.name] == 1 else SoundFile(file.path, file.path.as_posix()) for file in unique]
    return sorted(named, key=lambda file: file.name)
