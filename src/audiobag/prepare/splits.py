"""To which split each recording belongs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from audiobag.prepare.labels import Labels
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number

TRAIN: Final = "bal_train"
EVAL: Final = "eval"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


def assign(
    names: Iterable[str],
    labels: Labels,
    *,
    split: str | None = None,
    eval_fold: str | int | None = None,
    eval_fraction: float = 0.2,
) -> Mapping[str, str]:
    """Return the split of each recording.

    The first of these that is there decides: `split`, for all recordings; the column `split` of the labels; their
    column `fold`, of which one is the eval set; a hash of the recording's name, by which at least one of several
    recordings is in the training set and one in the eval set. All clips of a recording are in one split.

    Args:
        names: of the recordings.
        labels: their labels; `NO_LABELS` for none.
        split: one split for all.
        eval_fold: the fold that is the eval set; None for the last.
        eval_fraction: share of the recordings in the eval set where their names decide.

    Raises:
        ValueError: an argument is out of range, a recording has no split where others do, or the fold is not there.
    """
    check_number("eval_fraction", eval_fraction, "[0, 1]")
    names = list(names)
    if split is not None:
        return {name: _checked(split) for name in names}
    known = {name: labels.of[name] for name in names if name in labels.of}
    splits = {name: one.split for name, one in known.items() if one.split is not None}
    if splits:
        if missing := [name for name in names if name not in splits]:
            raise InputError(f"labels has a split for some recordings and none for {missing[0]}: give each one")
        return {name: _checked(one) for name, one in splits.items()}
    folds = {name: one.fold for name, one in known.items() if one.fold}
    if not folds and eval_fold is not None:
        raise InputError(f"eval_fold needs a column fold in the labels, which have none, got {eval_fold}")
    if folds:
        there = sorted(set(folds.values()), key=lambda fold: (len(fold), fold))
        chosen = there[-1] if eval_fold is None else str(eval_fold)
        if missing := [name for name in names if name not in folds]:
            raise InputError(f"labels has a fold for some recordings and none for {missing[0]}: give each one")
        if chosen not in there:
            raise InputError(f"eval_fold must be one of {', '.join(there)}, got {chosen}")
        return {name: EVAL if folds[name] == chosen else TRAIN for name in names}
    shares = {name: _share(name) for name in names}
    if len(names) > 1 and 0 < eval_fraction < 1:  # of a few, the hash may leave a split empty
        lowest, highest = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        shares |= {lowest: 0.0, highest: 1.0}
    return {name: EVAL if share < eval_fraction else TRAIN for name, share in shares.items()}


def _share(name: str) -> float:
    """Return a number from 0 to 1 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64


def _checked(split: str) -> str:
    if not _NAME.fullmatch(split):
        raise InputError(f"split must be a name such as {TRAIN}, got {split!r}")
    return split
