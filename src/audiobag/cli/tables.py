"""The table of scores that a command prints at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from audiobag.metrics.localisation import LOCALISATION
from audiobag.training.cluster import is_first
from audiobag.utils.console import say

_KINDS = {"f": "f", "p": "p", "fp": "f p", "F": "F everywhere", "random": "random"}
_SCORES = {"mAP": "mAP", "AUC": "AUC", "d_prime": "d-prime", "OmAP": "OmAP"}
_ROWS = {"val": "hold-out", "test": "eval, final weights", "test_averaged": "eval, averaged predictions"}


def show_scores(record: Mapping[str, Any], run: Path) -> None:
    """Print mAP, AUC, d-prime and, where it was asked for, OmAP of a run, and the path of its folder.

    Only the first of several processes prints.
    """
    if not is_first():
        return
    table = Table(title=None)
    table.add_column("scored")
    shown = [name for name in _SCORES if any(name in record.get(key, {}) for key in _ROWS)]
    for title in (*(_SCORES[name] for name in shown), "classes"):
        table.add_column(title, justify="right")
    for key, title in _ROWS.items():
        if scores := record.get(key):
            numbers = (scores.get(name) for name in shown)
            table.add_row(title, *("-" if n is None else f"{n:.4f}" for n in numbers), str(scores["classes"]))
    console = Console()
    console.print(table)
    if localised := record.get("localisation"):
        console.print(_localisation(localised))
    say(f"Run directory: {run}", console)


def _localisation(scores: Mapping[str, Any]) -> Table:
    """Return a table of some scores of the seconds, a row per kind; metrics.json has all of them."""
    table = Table(title=None)
    table.add_column("second")
    shown = ("frame_mAP", "within_AUC", "pointing", "mass", "share")
    for name in shown:
        table.add_column(LOCALISATION[name], justify="right")
    for kind, title in _KINDS.items():
        if found := scores.get(kind):
            table.add_row(title, *("-" if found[name] is None else f"{found[name]:.4f}" for name in shown))
    return table
