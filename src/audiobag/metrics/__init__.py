"""Metrics: clip probabilities against labels."""

from audiobag.metrics.functional import tagging_scores
from audiobag.metrics.scores import TaggingScores
from audiobag.metrics.tagging import AUC, DPrime, MeanAveragePrecision, Tagging

__all__ = ["AUC", "DPrime", "MeanAveragePrecision", "Tagging", "TaggingScores", "tagging_scores"]
