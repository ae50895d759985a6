"""Log records that a terminal with a progress bar need not show."""

from __future__ import annotations

import logging
from typing import Final

IN_BAR: Final = "audiobag_in_bar"
"""Attribute of a log record: whether a progress bar shows the same."""


class NotInBar(logging.Filter):
    """Drops the records that a progress bar shows as well; conf/hydra/job_logging filters the terminal with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep a record."""
        return not getattr(record, IN_BAR, False)
