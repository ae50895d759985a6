"""Tag sound from frozen embeddings: bags of frames, poolings as expectations, and fair experiments.

tagger = audiobag.load("exports/attention")
prediction = audiobag.predict(tagger, frames, lengths)
audiobag.metrics.tagging_scores(prediction.clip, labels)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiobag import metrics
    from audiobag.bags import BagPrediction, Bags
    from audiobag.export import Tagger, load, predict
    from audiobag.model import BagClassifier
    from audiobag.store import open_store

    __version__: str

__all__ = [
    "BagClassifier",
    "BagPrediction",
    "Bags",
    "Tagger",
    "__version__",
    "load",
    "metrics",
    "open_store",
    "predict",
]

# The commands begin with this file, before they have taken over the signals: each name comes when it is asked for.
_HOME = {
    "BagClassifier": "audiobag.model",
    "BagPrediction": "audiobag.bags",
    "Bags": "audiobag.bags",
    "Tagger": "audiobag.export",
    "load": "audiobag.export",
    "open_store": "audiobag.store",
    "predict": "audiobag.export",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("audiobag.metrics")
    if name == "__version__":
        from importlib.metadata import version

        return version("audiobag")
    if name not in _HOME:
        raise AttributeError(f"module 'audiobag' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
