"""The report: run directories in; tables, figures and a page out."""

from typing import TYPE_CHECKING

from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.report.write import Report, report

__all__ = ["Report", "report"]

# `audiobag.export` needs the statistics alone, so what draws figures is imported when it is first used.
__getattr__ = lazy_names(__name__)
