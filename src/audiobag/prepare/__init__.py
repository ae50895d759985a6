"""Preparing data: published records, archives of them, packed arrays, own arrays and synthetic clips to stores."""

from audiobag.prepare.locate import default_out
from audiobag.prepare.pipeline import prepare
from audiobag.prepare.strong import StrongSummary, add_strong_labels
from audiobag.prepare.summary import SplitSummary, Summary

__all__ = ["SplitSummary", "StrongSummary", "Summary", "add_strong_labels", "default_out", "prepare"]
