"""Durations in a readable form."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a span of time as minutes and seconds, with hours where there are any.

    Example:
        >>> duration(41), duration(3723)
        ('0:41', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
