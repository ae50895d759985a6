"""The report: run directories to tables, pictures and a page."""

from audiobag.report.write import Report, report

__all__ = ["Report", "report"]
