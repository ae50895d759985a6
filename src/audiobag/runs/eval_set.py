"""The stores of a run, found again from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiobag.data.store import Store, open_store
from audiobag.utils.errors import InputError
from audiobag.utils.values import listed


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
    return _find(config, near, str(_data(config).get("test", "eval")), checksum)


def find_train_stores(config: Mapping[str, Any], near: Path) -> list[Store]:
    """Open the stores that a run was trained on, as `find_eval_store` opens its eval set.

    Raises:
        ValueError: the configuration names no store, or one is missing.
    """
    names = listed(_data(config).get("train"))
    if not names:
        raise InputError(f"{near} does not say which stores it was trained on")
    return [_find(config, near, str(name)) for name in names]


def _data(config: Mapping[str, Any]) -> Mapping[str, Any]:
    data = config.get("data")
    return data if isinstance(data, Mapping) else {}


def _find(config: Mapping[str, Any], near: Path, name: str, checksum: str | None = None) -> Store:
    root = _data(config).get("root")
    if root is None:
        raise InputError(f"{near} does not say where its eval set lies")
    places = [base / str(root) / f"{name}.h5" for base in (Path(), *near.resolve().parents, near.resolve())]
    store = open_store(next((place for place in places if place.is_file()), places[0]))
    if checksum is not None and store.content_sha256 != checksum:
        raise InputError(f"{store.path} is not the {name} that was scored: its checksum has changed")
    return store
