"""Models that leave the laboratory: export folders, and the way back from them in one line."""

from audiobag.export.tagger import Tagger, load, predict
from audiobag.export.write import export

__all__ = ["Tagger", "export", "load", "predict"]
