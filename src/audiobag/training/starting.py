"""The weights that a training starts with: those of a checkpoint that it continues from, or that it fine-tunes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from inspect import signature
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from audiobag.data.store import Store
from audiobag.model import BagClassifier
from audiobag.runs import RunDirectory, resolve_checkpoint
from audiobag.runs.checkpoints import load_checkpoint, model_weights, newest_whole
from audiobag.training.module import TaggingModule
from audiobag.utils.errors import InputError

_LOG = logging.getLogger(__name__)
_SHOWN: Final = 3  # differences in a message
_SCHEDULED: Final = {"lr", "betas", "momentum"}
_NUMBERS: Final = {"weight_decay", "eps", *_SCHEDULED}


def checkpoint_of(path: Path) -> Path:
    """Return the checkpoint that a path means: a run's folder stands for the newest one in it.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    checkpoint = newest_whole(RunDirectory(path)) if path.is_dir() else path
    if checkpoint is None:
        raise InputError(f"ckpt_path must be a checkpoint, or the folder of a run that has one, got {path}")
    load_checkpoint(checkpoint)
    return checkpoint


def check_continuable(path: Path, module: TaggingModule) -> None:
    """Check that a checkpoint has the weights and the optimizer of a training.

    Raises:
        ValueError: lists what differs.
    """
    content = load_checkpoint(path)
    if changed := _weights(content["state_dict"], module.state_dict()):
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise InputError(
            f"ckpt_path must be a checkpoint of this model, but {path} has other weights"
            f" ({', '.join(changed[:_SHOWN])}{more}): choose the model that it was trained with, or give it as"
            " init_from to start with those of its weights that fit"
        )
    saved, made = content.get("optimizer_states") or [], module.configure_optimizers()
    ours = made["optimizer"].state_dict()["param_groups"]
    theirs = saved[0]["param_groups"] if saved else []
    if [_kind(group) for group in ours] != [_kind(group) for group in theirs]:
        name = type(made["optimizer"]).__name__
        raise InputError(
            f"ckpt_path must be a checkpoint of this optimizer, {name}, but {path} has the state of another one:"
            " choose the optimizer that it was trained with, or give it as init_from"
        )
    scheduler = made["lr_scheduler"]["scheduler"] if "lr_scheduler" in made else None
    for here, there in zip(ours, theirs, strict=True):
        _say_kept("optimizer", path, _NUMBERS - _SCHEDULED if scheduler else _NUMBERS, here, there)
    schedules = content.get("lr_schedulers") or []
    if len(schedules) != int(scheduler is not None):
        raise InputError(
            f"ckpt_path must be a checkpoint with the lr_scheduler of this training, but {path} has"
            f" {'one' if scheduler is None else 'none'}: choose the same lr_scheduler, or give it as init_from"
        )
    if scheduler is not None:
        given = signature(type(scheduler)).parameters.keys() - {"last_epoch"}
        _say_kept("lr_scheduler", path, given, scheduler.state_dict(), schedules[0])


def _say_kept(what: str, path: Path, names: Set[str], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Warn of values that the checkpoint replaces."""
    kept = [f"{k}={theirs[k]}" for k in sorted(names & ours.keys() & theirs.keys()) if ours[k] != theirs[k]]
    if kept:
        _LOG.warning("the %s continues with the values of %s: %s", what, path, ", ".join(kept))


def _weights(theirs: Mapping[str, Any], ours: Mapping[str, Tensor]) -> list[str]:
    """Return a phrase for each weight that differs in its name or shape."""
    found = []
    for name in dict.fromkeys([*ours, *theirs]):
        here, there = (list(one[name].shape) if name in one else None for one in (ours, theirs))
        if here != there:
            told = "has none" if there is None else f"is {there}"
            found.append(f"{name.removeprefix('model.')} {told}, expected {here or 'none'}")
    return found


def _kind(group: Mapping[str, Any]) -> tuple[set[str], int, Any]:
    """Return what tells optimizers apart: the options of a group of parameters, their number, and AdamW's decay."""
    return set(group) - {"initial_lr"}, len(group["params"]), group.get("decoupled_weight_decay")


def initialise(model: BagClassifier, checkpoint: Path, store: Store) -> None:
    """Copy the weights of a checkpoint into a model, to fine-tune it on other data.

    The embedding must be the same. Where the data have other classes, the pooling, which holds one set of weights a
    class, keeps its own initial weights, and the log says so.

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
