"""Losses: a prediction against the bags' labels."""

from audiobag.loss.bce import ClipBCE, FrameBCE

__all__ = ["ClipBCE", "FrameBCE"]
