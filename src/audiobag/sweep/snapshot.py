"""The code of a sweep, frozen: a copy of the package, of its configuration and of the user's own modules.

The jobs of a sweep import this copy, whatever happens to the source while they wait and run. It lies in the sweep's
folder, in `.code/HASH/`, with the revision and the uncommitted changes of each part.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from audiobag.runs.provenance import git_changes, git_revision
from audiobag.utils.files import read_json, whole_folder, write_json, write_text
from hydra_plugins import audiobag_launcher

_LOG = logging.getLogger(__name__)
FOLDER: Final = ".code"
_ABOUT: Final = "revision.json"
_INSTALLED: Final = {"site-packages", "dist-packages"}
_CACHES: Final = "__pycache__"
_MOST_FILES: Final = 2_000  # of a module of the user; a folder with more holds other things than code
_LARGEST: Final = 2**20  # bytes of such a file


@dataclass(frozen=True, slots=True)
class _Part:
    """A module or a package to copy.

    Attributes:
        name: its path in the copy.
        source: the file or folder.
        paths: files of it to copy, relative to `source`; empty for a single file.
    """

    name: str
    source: Path
    paths: tuple[Path, ...]

    @property
    def copies(self) -> Iterator[tuple[Path, Path]]:
        """Each file, and its path in the copy."""
        if self.source.is_file():
            yield self.source, Path(self.name)
        for path in self.paths:
            yield self.source / path, Path(self.name, path)


def take_snapshot(sweep: Path, configs: Iterable[Mapping[str, Any]]) -> Path:
    """Copy the code into the folder of a sweep, unless the same code is there, and return the folder of the copy.

    A process copies once per sweep, so that the later trials of a search run the code of the first ones.

    Args:
        sweep: folder of the sweep.
        configs: resolved configurations of its jobs. Modules that they name and that are not installed, such as a
            pooling beside the user's script, are copied too, and so are those that these import.
    """
    return _copy(sweep.resolve(), tuple(sorted({name for config in configs for name in _own_modules(config)})))


def code_environment(code: Path) -> dict[str, str]:
    """Return the environment variables with which a process reports the revision of a snapshot as its own."""
    revision = (read_json(code / _ABOUT).get("audiobag") or {}).get("revision")
    return {"AUDIOBAG_REVISION": revision} if revision else {}


@cache
def _copy(sweep: Path, own: tuple[str, ...]) -> Path:
    package = Path(__file__).parents[1]
    parts = [
        _whole("audiobag", package),
        _whole("audiobag/conf", Path(str(files("audiobag.conf")))),
        _whole("hydra_plugins/audiobag_launcher", Path(audiobag_launcher.__file__).parent),
        *_own_parts(own, sweep),
    ]
    about = {part.name: {"source": str(part.source), "revision": git_revision(part.source)} for part in parts}
    target = sweep / FOLDER / _digest(parts, about)
    if target.is_dir():
        return target
    with whole_folder(target) as temporary:
        for part in parts:
            for source, name in part.copies:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, temporary / name)  # compiled files are valid for a source of the same time
            if changes := git_changes(part.source):
                write_text(temporary / f"{part.name.replace('/', '.')}.diff", changes)
        write_json(temporary / _ABOUT, about)
    _LOG.info("the jobs run the code in %s, whatever changes elsewhere", target)
    return target


def _whole(name: str, source: Path) -> _Part:
    return _Part(name, source, tuple(sorted(p.relative_to(source) for p in source.rglob("*") if p.is_file())))


def _own_parts(names: Iterable[str], sweep: Path) -> list[_Part]:
    """Return the parts of the user's modules, and of those of the user's that they import."""
    parts: dict[str, _Part | None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in parts:
            parts[name] = part = _own(name, sweep)
            waiting += _imported(part) if part is not None else ()
    return [part for _, part in sorted(parts.items()) if part is not None]


def _imported(part: _Part) -> Iterator[str]:
    """Yield the user's top-level modules that the import statements of a part name; nothing is imported for it."""
    for source, _ in part.copies:
        if source.suffix == ".py":
            with suppress(SyntaxError, ValueError):  # which a job meets where it imports the file
                for node in ast.walk(ast.parse(source.read_bytes())):
                    names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                        names = [node.module]
                    yield from (top for name in names if _is_own(top := name.partition(".")[0]))


def _own(name: str, sweep: Path) -> _Part | None:
    """Return the part of one of the user's modules; None if it is too large to be code alone."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    if not spec.submodule_search_locations:
        path = Path(str(spec.origin))
        return _Part(path.name, path, ())
    folder = Path(next(iter(spec.submodule_search_locations)))
    found: list[Path] = []
    for parent, below, names in os.walk(folder):
        below[:] = [b for b in below if not b.startswith(".") and Path(parent, b).resolve() != sweep]
        paths = [p for one in names if not one.startswith(".") and (p := Path(parent, one)).is_file()]
        found += [p.relative_to(folder) for p in paths if p.suffix == ".py" or p.stat().st_size <= _LARGEST]
        if len(found) > _MOST_FILES:
            _LOG.warning("%s has more than %d files, so the jobs use it where it is", folder, _MOST_FILES)
            return None
    return _Part(name, folder, tuple(sorted(found)))


def _own_modules(config: Any) -> Iterator[str]:
    """Yield the top-level modules that a configuration names and that are neither installed nor Python's own."""
    if isinstance(config, Mapping):
        target = config.get("_target_")
        if isinstance(target, str) and _is_own(target.partition(".")[0]):
            yield target.partition(".")[0]
        for value in config.values():
            yield from _own_modules(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _own_modules(value)


@cache
def _is_own(name: str) -> bool:
    if name in ("audiobag", "hydra_plugins", "__main__"):
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    place = spec.origin if spec.has_location else next(iter(spec.submodule_search_locations or ()), None)
    if place is None:  # built in
        return False
    standard = Path(sysconfig.get_path("stdlib"))
    return not _INSTALLED & set(Path(place).parts) and not Path(place).is_relative_to(standard)


def _digest(parts: Iterable[_Part], about: Mapping[str, Any]) -> str:
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for part in parts:
        for source, name in part.copies:
            if _CACHES not in name.parts:
                found.update(f"{name}\0{source.stat().st_size}\0".encode() + source.read_bytes())
    return found.hexdigest()[:12]
