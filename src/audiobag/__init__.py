"""Tag sound from frozen embeddings: bags of frames, poolings as expectations, and fair experiments.

run = audiobag.train("pooling=attention_softmax", "trainer.max_steps=60", out="outputs/notebook")
prediction = audiobag.predict(run.tagger, frames, lengths)
audiobag.metrics.tagging_scores(prediction.clip, labels)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag import metrics, training
    from audiobag.bags import BagPrediction, Bags
    from audiobag.cli.python import TrainedRun, train
    from audiobag.data.store import open_store
    from audiobag.export.tagger import Tagger, load, predict
    from audiobag.model import BagClassifier, build_model

    __version__: str

__all__ = [
    "BagClassifier",
    "BagPrediction",
    "Bags",
    "Tagger",
    "TrainedRun",
    "__version__",
    "build_model",
    "load",
    "metrics",
    "open_store",
    "predict",
    "train",
    "training",
]

# The commands import this file before they install signal handlers, so names are imported when they are first used.
_lazy = lazy_names(__name__)


def __getattr__(name: str) -> Any:
    if name in ("metrics", "training"):
        return importlib.import_module(f"audiobag.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("audiobag")
    return _lazy(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
