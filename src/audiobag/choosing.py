"""Which clips are worth a look: those that a model gets most wrong, and of a class the found, missed and mistaken."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiobag.errors import UserError


def class_index(names: Sequence[str], wanted: str, option: str) -> int:
    """Return which of the classes is meant: by its name, or where no other reads so, by its name in another case.

    Args:
        names: of the K classes.
        wanted: the name.
        option: that has it, for the message.

    Raises:
        UserError: there is no such class; names those that are spelt like it.
    """
    if wanted in names:
        return names.index(wanted)
    folded = [name.casefold() for name in names]
    if folded.count(wanted.casefold()) == 1:
        return folded.index(wanted.casefold())
    spelt = dict(zip(folded, names, strict=True))
    close = difflib.get_close_matches(wanted.casefold(), spelt, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(repr(spelt[c]) for c in close)}?" if close else "see name in per_class.csv"
    raise UserError(f"{option} has {wanted!r}, which is none of the {len(names)} classes: {hint}")


def clip_loss(probability: NDArray[np.floating], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return [N], the mean over the classes of -[y log F + (1 - y) log(1 - F)], logarithms bounded at -100.

    Args:
        probability: F [N, K].
        positive: y [N, K].
    """
    said = np.where(positive, probability, 1 - probability)
    with np.errstate(divide="ignore"):
        loss: NDArray[np.float64] = -np.maximum(np.log(said), -100).mean(1, dtype=np.float64)
    return loss


def highest(score: NDArray[np.floating], among: NDArray[np.bool_], count: int) -> list[int]:
    """Return up to `count` of the clips `among` [N], those of the highest score [N] first; of equals, the first."""
    rows = np.flatnonzero(among)
    return [int(i) for i in rows[np.argsort(-score[rows], kind="stable")[:count]]]
