"""Preparing data: published records, archives of them, packed arrays, own arrays and synthetic clips to stores."""

from audiobag.prepare.locate import default_out
from audiobag.prepare.pipeline import prepare
from audiobag.prepare.summary import SplitSummary, Summary

__all__ = ["SplitSummary", "Summary", "default_out", "prepare"]
