"""Exported models: folders to share, and `load` to read them, checkpoints and runs."""

from typing import TYPE_CHECKING

from audiobag.export.tagger import Tagger, load, predict
from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.export.write import Exported, write_export

__all__ = ["Exported", "Tagger", "load", "predict", "write_export"]

# A tagger is loaded without what writes one.
__getattr__ = lazy_names(__name__)
