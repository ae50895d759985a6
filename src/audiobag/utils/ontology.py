"""Reads an ontology of classes, such as AudioSet's `ontology.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from audiobag.utils.errors import InputError


def children(ontology: Path, argument: str = "ontology") -> dict[str, list[str]]:
    """Return the ids of the children of each entry of an ontology.

    Args:
        ontology: a file in the format of AudioSet's `ontology.json`: a list of entries with `id` and `child_ids`.
        argument: name of the argument that is the path, for messages.

    Raises:
        ValueError: there is no such file, or it is not such a list.
    """
    try:
        content = json.loads(ontology.read_text(encoding="utf-8"))
        return {str(entry["id"]): [str(child) for child in entry["child_ids"]] for entry in content}
    except OSError as error:
        raise InputError(
            f"{argument} must be a file like AudioSet's ontology.json, got {ontology} ({error.strerror}): give its"
            " path; AudioSet's is at github.com/audioset/ontology"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{argument} {ontology} is not a list of id and child_ids ({type(error).__name__})") from error


def ancestors(path: Path, mids: Sequence[str]) -> Int64[NDArray[np.int64], "2 P"]:
    """Return the P pairs of a class and a class above it in an ontology, sorted.

    Raises:
        ValueError: the file is not an ontology of the classes.
    """
    entries = children(path, "path")
    if unknown := [mid for mid in mids if mid not in entries]:
        raise InputError(f"path {path} lacks {len(unknown)} of the {len(mids)} classes, the first is {unknown[0]!r}")
    number = {mid: k for k, mid in enumerate(mids)}
    below = {mid: _below(entries, mid) for mid in mids}
    pairs = sorted((number[mid], number[above]) for above in mids for mid in below[above] if mid in number)
    return np.ascontiguousarray(np.array(pairs, np.int64).reshape(-1, 2).T)


def _below(entries: Mapping[str, Iterable[str]], mid: str) -> set[str]:
    """Return all that is below an entry; children that have no entry of their own have nothing below them."""
    found: set[str] = set()
    pending = [mid]
    while pending:
        new = set(entries.get(pending.pop(), ())) - found - {mid}
        found |= new
        pending += new
    return found
