"""Start a model with the weights of a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

from audiobag.data.store import Store
from audiobag.model import BagClassifier
from audiobag.runs import resolve_checkpoint
from audiobag.runs.checkpoints import load_checkpoint, model_weights
from audiobag.utils.errors import InputError

_LOG = logging.getLogger(__name__)


def initialise(model: BagClassifier, checkpoint: Path, store: Store) -> None:
    """Copy the weights of a checkpoint into a model, to fine-tune it on other data.

    The embedding must be the same. Where the data have other classes, the pooling, which holds one set of weights a
    class, keeps its own initial weights, and the log says so.

    Args:
        model: the model; changed in place.
        checkpoint: a checkpoint, or the folder of a run.
        store: a store of the data that the model is to be trained on.

    Raises:
        ValueError: the checkpoint cannot be read, or has another embedding.
    """
    path = resolve_checkpoint(checkpoint)
    content = load_checkpoint(path)
    weights, own = model_weights(path, content), model.state_dict()
    same_classes = list(content["audiobag"]["class_names"]) == list(store.description.class_names)
    copied = [name for name in own if name.startswith("embedding.") or same_classes]
    for name in copied:
        if name not in weights:
            raise InputError(f"init_from={path} has no weights {name}: use the components of that run")
        if weights[name].shape != own[name].shape:
            shapes = f"{list(weights[name].shape)} instead of {list(own[name].shape)}"
            raise InputError(f"init_from={path} has {name} of shape {shapes}: use the embedding it was made with")
    model.load_state_dict({name: weights[name] for name in copied}, strict=False)
    if same_classes:
        _LOG.info("starting with the weights of %s", path)
    else:
        _LOG.info("starting with the embedding of %s; its classes differ, so the pooling is trained from scratch", path)
