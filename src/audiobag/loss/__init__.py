"""Losses: modules that map a `BagPrediction`, labels [B, K] and a mask [B, T] to a number."""

from audiobag.loss.bce import ClipBCE, FrameBCE
from audiobag.loss.consistency import OntologyConsistency
from audiobag.loss.focusing import AsymmetricBCE, FocalBCE

__all__ = ["AsymmetricBCE", "ClipBCE", "FocalBCE", "FrameBCE", "OntologyConsistency"]
