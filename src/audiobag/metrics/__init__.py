"""Metrics: clip probabilities against labels."""

from typing import TYPE_CHECKING

from audiobag.metrics.frame_truth import FrameTruth
from audiobag.metrics.functional import tagging_scores
from audiobag.metrics.further import best_f1, further_scores, lwlrap, micro_average_precision
from audiobag.metrics.groups import rank_groups
from audiobag.metrics.localisation import LocalisationScores, localisation_scores
from audiobag.metrics.ontology import class_distances, ontology_average_precision
from audiobag.metrics.scores import TaggingScores
from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.metrics.tagging import AUC, DPrime, MeanAveragePrecision, Tagging

__all__ = [
    "AUC",
    "DPrime",
    "FrameTruth",
    "LocalisationScores",
    "MeanAveragePrecision",
    "Tagging",
    "TaggingScores",
    "best_f1",
    "class_distances",
    "further_scores",
    "localisation_scores",
    "lwlrap",
    "micro_average_precision",
    "ontology_average_precision",
    "rank_groups",
    "tagging_scores",
]

# torchmetrics imports scipy and matplotlib, which takes a second; only trainings need it.
__getattr__ = lazy_names(__name__)
