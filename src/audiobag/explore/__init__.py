"""A local page for one run or two: each class with its AP, and the clips that were found, missed and mistaken."""

from audiobag.explore.explored import Explored, open_runs

__all__ = ["Explored", "open_runs"]
