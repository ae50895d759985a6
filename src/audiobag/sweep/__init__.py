"""Sweeps: name the jobs, find those that are complete, and run the rest, each in a process of its own."""
