"""Predict any number of clips: probabilities, and which second carried which class."""

from audiobag.prediction.clips import Clips, open_clips, open_recordings
from audiobag.prediction.run import Outcome, format_of, predict_to_file, predict_to_pictures
from audiobag.prediction.stream import Predicted, predict_bags

__all__ = [
    "Clips",
    "Outcome",
    "Predicted",
    "format_of",
    "open_clips",
    "open_recordings",
    "predict_bags",
    "predict_to_file",
    "predict_to_pictures",
]
