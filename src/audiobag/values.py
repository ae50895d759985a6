"""Values that users type: each is what it should be, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from audiobag.errors import UserError


def check_whole(name: str, value: Any, least: int = 1, otherwise: str = "") -> None:
    """Refuse what is no whole number of at least `least`.

    Args:
        name: of the value, as the user types it.
        value: found.
        least: expected.
        otherwise: what else may be given, such as ", or null for none".

    Raises:
        UserError: says so.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise UserError(f"{name}={_shown(value)}; expected a whole number of at least {least}{otherwise}")


def check_number(name: str, value: Any, within: str, otherwise: str = "") -> None:
    """Refuse what is no number within an interval.

    Args:
        name: of the value, as the user types it.
        value: found.
        within: the interval, such as "[0, 1)" or "(0, inf)": square brackets include their end.
        otherwise: what else may be given.

    Raises:
        UserError: says so.
    """
    low, high = map(float, within[1:-1].split(","))
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        above = value >= low if within[0] == "[" else value > low
        below = value <= high if within[-1] == "]" else value < high
        if above and below:
            return
    raise UserError(f"{name}={_shown(value)}; expected a number in {within}{otherwise}")


def check_choice(name: str, value: Any, known: Iterable[str], otherwise: str = "") -> None:
    """Refuse what is none of the known names.

    Args:
        name: of the value, as the user types it.
        value: found.
        known: the names.
        otherwise: what else may be given.

    Raises:
        UserError: says so.
    """
    if value not in (known := tuple(known)):
        raise UserError(f"{name}={_shown(value)}; expected one of {', '.join(known)}{otherwise}")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false: a misspelt "flase" would count as true.

    Args:
        name: of the value, as the user types it.
        value: found.

    Raises:
        UserError: says so.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name}={_shown(value)}; expected true or false")


def check_path(name: str, value: Any, *, optional: bool = False) -> None:
    """Refuse what names no file or folder, such as a number.

    Args:
        name: of the value, as the user types it.
        value: found.
        optional: whether null will do.

    Raises:
        UserError: says so.
    """
    if optional and value is None:
        return
    if not isinstance(value, str | PathLike) or not str(value):
        number = f", or ./{value} for one of that name" if isinstance(value, int | float) else ""
        raise UserError(f"{name}={_shown(value)}; expected a file or folder{number}")


def paths(name: str, value: Any) -> list[Path]:
    """Return the paths of one, or of a list of them.

    Args:
        name: of the value, as the user types it.
        value: found.

    Raises:
        UserError: there is none, or something else.
    """
    several = listed(value) or [value]
    for each in several:
        check_path(name, each)
    return [Path(each) for each in several]


def listed(value: Any) -> list[Any]:
    """Return a list as it is, null as an empty list, and anything else as a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
