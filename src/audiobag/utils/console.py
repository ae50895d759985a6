"""Lines for people, on a terminal or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, console: Console | None = None, style: str | None = None) -> None:
    """Print a line that is not wrapped, so that paths can be copied, and in which nothing is markup.

    Args:
        text: the line.
        console: where to print; None for the standard output.
        style: of rich.
    """
    from rich.console import Console

    (console or Console()).print(text, style=style, soft_wrap=True, markup=False, highlight=False)
