"""Selection of clips to draw: those with the largest loss, and the found, missed and mistaken clips of a class."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiobag.utils.errors import InputError

LEAST: Final = 0.1
AMONG: Final = 3


def class_index(names: Sequence[str], wanted: str, option: str) -> int:
    """Return the index of a class. Upper and lower case are told apart only where several names differ in nothing else.

    Args:
        names: K class names.
        wanted: name of the class.
        option: name of the argument that holds it, for the message.

    Raises:
        ValueError: there is no such class; the message lists similar names.
    """
    if wanted in names:
        return names.index(wanted)
    folded = [name.casefold() for name in names]
    if folded.count(wanted.casefold()) == 1:
        return folded.index(wanted.casefold())
    spelt = dict(zip(folded, names, strict=True))
    close = difflib.get_close_matches(wanted.casefold(), spelt, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(repr(spelt[c]) for c in close)}?" if close else "see name in per_class.csv"
    raise InputError(f"{option} has {wanted!r}, which is none of the {len(names)} classes: {hint}")


def clip_loss(probability: NDArray[np.floating], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    r"""Return [N], the mean binary cross entropy of each clip over its classes.

    $$\ell_n = -\frac{1}{K} \sum_k \left( y_{nk} \log F_{nk} + (1 - y_{nk}) \log (1 - F_{nk}) \right),$$

    with each logarithm at least -100, as in torch.

    Args:
        probability: F [N, K].
        positive: y [N, K].
    """
    of_label = np.where(positive, probability, 1 - probability)
    with np.errstate(divide="ignore"):
        loss: NDArray[np.float64] = -np.maximum(np.log(of_label), -100).mean(1, dtype=np.float64)
    return loss


def recognised(probability: NDArray[np.floating], k: int) -> NDArray[np.bool_]:
    """Return [N], True for the clips in which a class is found: it is likely, and among the likeliest of the clip.

    Args:
        probability: F [N, K].
        k: the class; its F must be `LEAST` or more, and fewer than `AMONG` classes of the clip have a higher one.
    """
    own = probability[:, k, None]
    found: NDArray[np.bool_] = (own[:, 0] >= LEAST) & ((probability > own).sum(1) < AMONG)
    return found


def highest(score: NDArray[np.floating], among: NDArray[np.bool_], count: int) -> list[int]:
    """Return the indices of the highest scores, in falling order; the first of equal scores comes first.

    Args:
        score: [N].
        among: [N], True for the clips to choose from.
        count: number of clips, fewer where there are fewer.
    """
    rows = np.flatnonzero(among)
    return [int(i) for i in rows[np.argsort(-score[rows], kind="stable")[:count]]]
