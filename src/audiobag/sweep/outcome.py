"""What the command reads about a sweep after it ends.

A sweeper continues after a failed job, so the command learns of failures here and exits with code 3 at its end.
"""

from __future__ import annotations

multirun = False
"""Whether the command runs a sweep, or one job of a sweep."""

failed: list[str] = []
"""Names of the jobs that failed or were interrupted."""
