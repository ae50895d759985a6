"""The eval set of a run, found again from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiobag.data.store import Store, open_store
from audiobag.utils.errors import InputError


def find_eval_store(config: Mapping[str, Any], near: Path, checksum: str | None = None) -> Store:
    """Open the store that a run was scored on: `<data.root>/<data.test>.h5`.

    A relative root is looked up from the working directory, then from each folder above the run.

    Args:
        config: the run's resolved configuration.
        near: the run's folder, or a file in it.
        checksum: `content_sha256` that the store must have; None to accept any.

    Raises:
        ValueError: the configuration names no store, the store is missing, or its content has changed.
    """
    data = config.get("data")
    root, name = (data.get("root"), data.get("test", "eval")) if isinstance(data, Mapping) else (None, None)
    if root is None:
        raise InputError(f"{near} does not say where its eval set lies")
    places = [base / str(root) / f"{name}.h5" for base in (Path(), *near.resolve().parents, near.resolve())]
    store = open_store(next((place for place in places if place.is_file()), places[0]))
    if checksum is not None and store.content_sha256 != checksum:
        raise InputError(f"{store.path} is not the {name} that was scored: its checksum has changed")
    return store
