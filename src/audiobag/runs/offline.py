"""Offline W&B runs: the command that sends them."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from audiobag.utils.files import shown_path


def sync_command(starts: Sequence[Path]) -> str:
    """Return one `wandb sync` line for the folders of offline starts.

    The jobs of a sweep become one pattern. W&B sends several starts of a run in the order in which they were made, and
    skips what was sent before.

    Args:
        starts: folders such as RUN/wandb/offline-run-20260101_120000-1a2b3c4d.
    """
    sweeps: defaultdict[Path, dict[Path, list[Path]]] = defaultdict(dict)
    for start in starts:
        run = start.parent.parent
        sweeps[run.parent].setdefault(run, []).append(start)
    words = []
    for sweep, runs in sweeps.items():
        if len(runs) > 1:
            words.append(f"{shlex.quote(shown_path(sweep))}/*/wandb/offline-run-*")
        else:
            words += [shlex.quote(shown_path(start)) for found in runs.values() for start in found]
    return f"wandb sync {' '.join(words)}"
