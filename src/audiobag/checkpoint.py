"""Checkpoint files: which one to continue from, and what one says about itself.

Beside Lightning's own entries a checkpoint has `audiobag`: its format, the whole configuration in plain
containers, and what its frames and classes are, so that the file alone tells how to build the model and which
stores it can score. Only tensors and plain containers go in; they are read with `weights_only=True`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from audiobag.errors import UserError
from audiobag.runs import config_hash
from audiobag.store import Store

_LOG = logging.getLogger(__name__)
FORMAT = 1


def load_checkpoint(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: it is missing, damaged, or none of ours.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; expected a file like {instead(path)}")
    try:
        content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = content["audiobag"]["format"]
    except Exception as error:  # torch raises anything on a damaged file
        what = type(error).__name__
        raise UserError(f"{path} is damaged or no audiobag checkpoint ({what}): choose another") from error
    if found != FORMAT:
        raise UserError(f"{path} has checkpoint format {found}, this version reads {FORMAT}: train it again")
    return content


def resumable(folder: Path) -> list[Path]:
    """Return the checkpoints that a run can continue from, newest first."""
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def instead(path: Path) -> Path:
    """Return what to give instead of a path that is no checkpoint: the newest of the run that it is, or an example."""
    return next(iter(resumable(path / "checkpoints")), Path("RUN/checkpoints/step-00000300.ckpt"))


def newest_whole(folder: Path) -> Path | None:
    """Return the newest checkpoint that can be read; a damaged one is passed over with a warning."""
    for path in resumable(folder):
        try:
            load_checkpoint(path)
        except UserError as error:
            _LOG.warning("%s; continuing from the one before it", error)
        else:
            return path
    return None


def about(config: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """Return what a checkpoint of this configuration, trained on stores like `store`, says about itself."""
    return {"format": FORMAT, "config": dict(config), "config_hash": config_hash(config), **_kind(store)}


def check_scorable(path: Path, known: Mapping[str, Any], store: Store) -> None:
    """Refuse a store whose frames or classes are not those a checkpoint was trained on.

    Args:
        path: of the checkpoint, for the message.
        known: its `audiobag` entry.
        store: the store.

    Raises:
        UserError: names the first difference.
    """
    remedy = "score it on a store like the one it was trained on"
    mine, theirs = known["class_names"], list(store.description.class_names)
    if len(mine) != len(theirs):
        raise UserError(f"{path} knows {len(mine)} classes, {store.path} has {len(theirs)}: {remedy}")
    for k, (a, b) in enumerate(zip(mine, theirs)):
        if a != b:
            raise UserError(f"class {k} is {a!r} in {path}, {b!r} in {store.path}: {remedy}")
    for what, value in _kind(store).items():
        if known[what] != value:
            raise UserError(f"frames have {what} {known[what]} in {path}, {value} in {store.path}: {remedy}")


def _kind(store: Store) -> dict[str, Any]:
    about = store.description
    return {
        "dim": store.dim,
        "scale": about.scale,
        "offset": about.offset,
        "class_names": list(about.class_names),
    }
