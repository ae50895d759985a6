"""Strong labels for stores: `audiobag-prepare strong=FILE`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from audiobag.data.events import read_events
from audiobag.data.store import Store, open_store
from audiobag.data.strong_events import add_events, find_events, mark_of, stored_events
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable, check_writable, locked


@dataclass(frozen=True, slots=True)
class StrongSummary:
    """What `add_strong_labels` found; rich renders it as lines.

    Attributes:
        counts: of each store with strong labels by its name; see `strong_labels`.
        added: names of the stores that did not have these labels before.
    """

    counts: Mapping[str, Mapping[str, int]]
    added: frozenset[str]

    def __rich__(self) -> RenderableType:
        return Group(*(Text(self._line(name, found)) for name, found in self.counts.items()))

    def _line(self, name: str, found: Mapping[str, int]) -> str:
        had = "" if name in self.added else ", which it had already"
        left_out = [
            f"{found[key]:,} {what}"
            for key, what in (
                ("clips_not_in_store", "clips that the store does not have"),
                ("events_of_unknown_labels", f"events of {found['unknown_labels']:,} unknown labels"),
            )
            if found[key]
        ]
        note = f"; left out: {', '.join(left_out)}" if left_out else ""
        return f"{name}: strong labels of {found['clips']:,} clips, {found['events']:,} events{had}{note}"


def add_strong_labels(folder: Path, strong: Path, ontology: Path | None = None) -> StrongSummary:
    """Add the events of a file to the stores in a folder whose clips they are about.

    Strong labels that a store had before are replaced. Frames, labels and the checksum of a store do not change.

    Args:
        folder: with stores.
        strong: a file of events, see `read_events`.
        ontology: a file in the format of AudioSet's `ontology.json`, for labels that are not classes; None to leave
            them out.

    Raises:
        ValueError: a file cannot be read, the folder cannot be written to, or the events are about none of the clips.
    """
    events, mark = read_events(strong), _mark(strong, ontology)
    stores = _stores(folder)
    counts: dict[str, dict[str, int]] = {}
    added = []
    for name, store in stores.items():
        same = mark_of(store) == mark
        found = (stored_events(store) if same else None) or find_events(store, events, ontology)
        if not len(found.rows):
            continue
        counts[name] = {**found.counts, "clips": len(found.rows)}
        if not same:
            check_writable(folder)
            with locked(folder / ".prepare.lock", f"another audiobag command is writing to {folder}: wait for it"):
                add_events(store.path, found, mark)
            added.append(name)
    if not counts:
        where = ", ".join(str(store.path) for store in stores.values()) or f"a store in {folder}"
        raise InputError(f"strong must be about clips of {where}, got {strong} with {len(events.places):,} other clips")
    return StrongSummary(counts, frozenset(added))


def _stores(folder: Path) -> dict[str, Store]:
    stores = {}
    for path in sorted(folder.glob("*.h5")):
        try:
            stores[path.stem] = open_store(path)
        except InputError:
            continue  # some other file
    return stores


def _mark(strong: Path, ontology: Path | None) -> str:
    """Return a hash of the files from which the events were made."""
    digest = hashlib.sha256(strong.read_bytes())
    if ontology is not None:
        check_readable(ontology)
        try:
            digest.update(ontology.read_bytes())
        except OSError as error:
            raise InputError(f"ontology must be a file, got {ontology} ({error.strerror})") from error
    return digest.hexdigest()
