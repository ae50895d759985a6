"""A trained model over clips, however many: probabilities, and which second carried which class."""

from audiobag.predict.clips import Clips, open_clips
from audiobag.predict.run import Outcome, predict
from audiobag.predict.stream import Predicted, predict_bags

__all__ = ["Clips", "Outcome", "Predicted", "open_clips", "predict", "predict_bags"]
