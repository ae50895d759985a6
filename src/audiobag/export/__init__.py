"""Exported models: folders to share, and `load` to read them, checkpoints and runs."""

from audiobag.export.tagger import Tagger, load, predict
from audiobag.export.write import Exported, write_export

__all__ = ["Exported", "Tagger", "load", "predict", "write_export"]
