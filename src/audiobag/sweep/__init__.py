"""What a sweep does: names its jobs, finds what is done, and runs the rest, each in a process of its own."""

from audiobag.sweep.naming import NameSweep, folder_name

__all__ = ["NameSweep", "folder_name", "some_failed"]

# The jobs that failed. A sweeper goes on after a failure; the command's exit code, at its very end, tells of it.
some_failed: list[str] = []
