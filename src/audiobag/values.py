"""Values that users type: each is what it should be, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
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


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
