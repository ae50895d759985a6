"""Records of encoders: which one made the frames of a store. `audiobag.sound` has the encoders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

PATHS: Final = ("weights", "pca", "model", "revision")
"""Arguments of encoders that say where weights are, and not what they are."""


def other_encoder(mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> str | None:
    """Return how two records differ, in words; None if they are of the same encoder, or one is unknown.

    Paths do not count: weights are told apart by their checksum.
    """
    if mine is None or theirs is None:
        return None
    if mine["name"] != theirs["name"]:
        return f"{mine['name']} and {theirs['name']}"
    a, b = (_arguments(one) for one in (mine, theirs))
    for key in dict.fromkeys([*a, *b]):
        if a and b and a.get(key) != b.get(key):
            return f"{key} is {_shown(a.get(key))} and {_shown(b.get(key))}"
    if mine.get("weights_sha256") != theirs.get("weights_sha256"):
        checksums = [str(one.get("weights_sha256"))[:8] for one in (mine, theirs)]
        return f"their weights differ, with the checksums {checksums[0]} and {checksums[1]}"
    return None


def portable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with file names in place of paths, for exports, which go to other people."""
    config = record.get("config")
    if not isinstance(config, Mapping):
        return dict(record)
    short = {
        k: Path(v).name if k in PATHS and isinstance(v, str) and Path(v).is_absolute() else v for k, v in config.items()
    }
    return {**record, "config": short}


def _arguments(record: Mapping[str, Any]) -> dict[str, Any]:
    config = record.get("config")
    if not isinstance(config, Mapping):
        return {}
    return {k: v for k, v in config.items() if k not in PATHS}


def _shown(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
