"""From the outside world to stores: published records, archives of them, packed or own arrays, made-up clips."""

from audiobag.prepare.locate import default_out
from audiobag.prepare.pipeline import prepare
from audiobag.prepare.summary import SplitSummary, Summary

__all__ = ["SplitSummary", "Summary", "default_out", "prepare"]
