"""A trained model over clips, however many: probabilities, and which second carried which class."""

from audiobag.predicting.clips import Clips, open_clips
from audiobag.predicting.run import Outcome, predict
from audiobag.predicting.stream import Predicted, predict_bags

__all__ = ["Clips", "Outcome", "Predicted", "open_clips", "predict", "predict_bags"]
