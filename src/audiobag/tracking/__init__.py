"""Trackers (W&B and others): mirrors of the run directory, which stays the truth."""
