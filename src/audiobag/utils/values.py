"""Checks of arguments: each raises a `ValueError` that names the argument, what was expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from audiobag.utils.errors import InputError

_LIKE_A_NUMBER: Final = re.compile(r"[-+]?[\d_.]+(e[-+]?\d+)?|true|false|null|", re.IGNORECASE)


def check_whole(name: str, value: Any, least: int = 1, otherwise: str = "") -> None:
    """Check that an argument is a whole number; `otherwise` says what else is allowed, such as ", or null for none".

    Raises:
        ValueError: the value is not a whole number of at least `least`.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}{otherwise}, got {_shown(value)}")


def check_number(name: str, value: Any, within: str, otherwise: str = "") -> None:
    """Check that an argument is a number in an interval such as "[0, 1)"; a square bracket includes its end.

    Raises:
        ValueError: the value is not a number in the interval.
    """
    low, high = map(float, within[1:-1].split(","))
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        above = value >= low if within[0] == "[" else value > low
        below = value <= high if within[-1] == "]" else value < high
        if above and below:
            return
    raise InputError(f"{name} must be a number in {within}{otherwise}, got {_shown(value)}")


def check_choice(name: str, value: Any, known: Iterable[str], otherwise: str = "") -> None:
    """Check that an argument is one of some names.

    Raises:
        ValueError: the value is none of the names.
    """
    if value not in (known := tuple(known)):
        raise InputError(f"{name} must be one of {', '.join(known)}{otherwise}, got {_shown(value)}")


def listed(value: Any) -> list[Any]:
    """Return a list unchanged, None as an empty list, and anything else as a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _shown(value: Any) -> str:
    if isinstance(value, str) and _LIKE_A_NUMBER.fullmatch(value):
        return f"the text '{value}'"
    return "null" if value is None else str(value)
