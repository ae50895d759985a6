"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any


def lazy_names(package: str) -> Callable[[str], Any]:
    """Return a module-level ``__getattr__`` (PEP 562) that imports names on first use.

    The names, and the modules that define them, are those that the package imports for type checkers, under
    ``if TYPE_CHECKING``; they are read from its source.

    Args:
        package: name of the package that gets the function.
    """

    def get(name: str) -> Any:
        module = sys.modules[package]
        homes = _imports(str(module.__file__))
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    return get


@cache
def _imports(file: str) -> Mapping[str, str]:
    """Return the names that a file imports from modules, and the module of each."""
    import ast  # the commands import this file before they install signal handlers
    from pathlib import Path

    nodes = ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
    return {one.name: str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names}
