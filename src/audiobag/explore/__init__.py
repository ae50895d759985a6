"""A local page for some runs: each class with its AP, and the clips that were found, missed and mistaken."""

from audiobag.explore.explored import Explored, Opened, open_runs

__all__ = ["Explored", "Opened", "open_runs"]
