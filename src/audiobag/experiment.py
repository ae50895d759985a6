"""A configuration to objects, the objects to a run directory. DictConfig stops here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import Timer
from numpy.typing import NDArray

from audiobag.budget import budget
from audiobag.callbacks import AtomicCheckpointIO, PredictionAveraging, Progress, RunCheckpoints, TaggingScore
from audiobag.checkpoint import about, check_scorable, load_checkpoint, newest_whole
from audiobag.cluster import cluster_environment
from audiobag.data import BagDataModule
from audiobag.errors import Interrupted, UserError
from audiobag.hardware import (
    check_clipping,
    check_compile,
    check_trainer,
    device_count,
    keep_freed_memory,
    set_product_precision,
    set_threads,
)
from audiobag.idle import NoProfiler, pass_over, skip_idle_hooks, take_shortcuts
from audiobag.interruption import deferred, requested
from audiobag.metrics import Tagging, TaggingScores, tagging_scores
from audiobag.model import BagClassifier
from audiobag.provenance import provenance
from audiobag.runs import RunDirectory, config_hash
from audiobag.store import Store
from audiobag.system import TaggingSystem
from audiobag.tracking import Observer, Subject, mirror, tracked
from audiobag.trust import check_size, instantiate_trusted
from audiobag.values import check_choice, check_path, check_whole

_LOG = logging.getLogger(__name__)
C = TypeVar("C", bound=Callback)
for _chatty in ("lightning.pytorch", "lightning.fabric"):  # they set handlers and a level of their own on import
    logging.getLogger(_chatty).handlers.clear()
    logging.getLogger(_chatty).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # lightning 2.6 against torch 2.13
warnings.filterwarnings("ignore", "The `srun` command is available")  # a cluster's login node is a fine place too


def train(config: Mapping[str, Any], run: RunDirectory, choices: Mapping[str, str]) -> dict[str, Any]:
    """Train, score and record one run, or continue it where it was interrupted; return its metrics.json.

    Args:
        config: the whole configuration, resolved, in plain containers.
        run: where everything goes.
        choices: the option chosen of each configuration group, for the record.

    Raises:
        UserError: something in the configuration or the data cannot be.
    """
    hashed = config_hash(config)
    run.check_begun(hashed)
    check_trainer(config["trainer"])
    check_clipping(config["trainer"], config["optimizer"])
    check_compile(config["compile"])
    check_whole("seed", config["seed"], 0)
    check_choice("select", config["select"], ("last", "best"))
    if config["select"] == "best" and not config["data"]["val_fraction"]:
        raise UserError("select=best needs a hold-out: set data.val_fraction above 0, or take select=last")
    threads = run.threads() if config["threads"] is None else config["threads"]
    run.begin(hashed, set_threads(threads, config["trainer"]["devices"]))
    data: BagDataModule = instantiate(config["data"])
    data.setup("fit")
    seed_everything(config["seed"], verbose=False)
    system = build_system(config, data.test_store)
    for sentence in budget(system, data):
        _LOG.info(sentence)
    if config["compile"]:
        system.model.compile(mode=config["compile"])
    without_validation = {} if data.val_fraction else {"limit_val_batches": 0}
    clock = Timer()
    trainer = _trainer(config, [clock, Observer()], **without_validation)
    take_shortcuts(trainer)
    skip_idle_hooks(system, *_callbacks(trainer))
    pass_over(clock, "on_train_batch_end")  # it would look whether time is up
    if not config["trainer"].get("gradient_clip_val"):
        pass_over(system, "configure_gradient_clipping")
    resumed = newest_whole(run.checkpoints)
    if resumed is not None:
        _LOG.info("continuing from %s", resumed)
    stores = (*data.train_stores, data.test_store)
    origin = {
        "config_hash": hashed,
        "choices": dict(choices),
        "stores": {s.path.stem: s.content_sha256 for s in stores},
        **provenance(),
    }
    loggers = trainer.loggers if trainer.is_global_zero else []
    with tracked(loggers, Subject(run, {**config, **origin}, stores)) as trackers:
        _fit(trainer, system, data, resumed)
        record = {
            "status": "done",
            "seed": config["seed"],
            **_score(trainer, system, data, run, config["select"]),
            "train": _training_record(trainer, data.batch_size),
            **origin,
        }
        if trainer.is_global_zero:
            run.write_metrics(record)
        mirror(trackers, run, data.test_store, config["select"])
    return record


def evaluate(config: Mapping[str, Any], run: RunDirectory) -> dict[str, Any]:
    """Score a checkpoint, on its own eval set or another; return its metrics.json.

    Args:
        config: `checkpoint`, `trainer`, `threads`, `allow` (packages whose classes a checkpoint may name), and
            `data` unless it is the checkpoint's own.
        run: where everything goes.

    Raises:
        UserError: no checkpoint of ours, or a store that it cannot score.
    """
    check_path("checkpoint", config["checkpoint"])
    path = Path(config["checkpoint"])
    checkpoint = load_checkpoint(path)
    known = checkpoint["audiobag"]
    check_trainer(config["trainer"])
    set_threads(config["threads"], config["trainer"]["devices"])
    data: BagDataModule = instantiate(config["data"]) if config.get("data") else _own_eval_set(path, known)
    check_scorable(path, known, data.test_store)
    build = partial(build_system, known["config"], data.test_store, partial(instantiate_trusted, allow=config["allow"]))
    check_size(path, build, checkpoint["state_dict"])
    system = build()
    try:
        system.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{path}: its weights do not fit the model that it describes: choose another") from error
    trainer = _trainer({**config, "callbacks": {}, "logger": None}, [TaggingScore(Tagging), Progress()])
    trainer.test(system, data, verbose=False)
    record = {
        "status": "done",
        "checkpoint": str(path),
        "step": checkpoint["global_step"],
        **_record_test(trainer, data.test_store, run),
        "stores": {data.test_store.path.stem: data.test_store.content_sha256},
        **provenance(),
    }
    if trainer.is_global_zero:
        run.write_metrics(record)
    return record


def build_system(config: Mapping[str, Any], store: Store, build: Callable[..., Any] = instantiate) -> TaggingSystem:
    """Return the model, loss and optimiser of a configuration, for frames and classes like those of `store`.

    Args:
        config: in plain containers.
        store: what the frames and classes are like.
        build: makes an object from a part of the configuration; `instantiate_trusted` where a file brought it.
    """
    embedding = build(config["embedding"], in_features=store.dim)
    pooling = build(config["pooling"], in_features=embedding.out_features, classes=store.classes)
    return TaggingSystem(
        BagClassifier(embedding, pooling, store.description.scale, store.description.offset),
        loss=build(config["loss"]),
        optimizer=build(config["optimizer"]),
        scheduler=build(config["scheduler"]) if config["scheduler"] else None,
        seed=config["seed"],
        checkpoint_extra=about(config, store),
    )


def _own_eval_set(path: Path, known: Mapping[str, Any]) -> BagDataModule:
    """Return the eval set that a checkpoint names; only values are taken from it, nothing that would be called."""
    try:
        own = known["config"]["data"]
        return BagDataModule(str(own["root"]), train=(), test=str(own["test"]), batch_size=int(own["batch_size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} names no eval set ({error}): give data=... and data.root=...") from error


def _fit(trainer: Trainer, system: TaggingSystem, data: BagDataModule, checkpoint: Path | None) -> None:
    keep_freed_memory()
    with deferred():
        trainer.fit(system, data, ckpt_path=checkpoint, weights_only=True)
    if requested():  # between two steps, where Lightning noticed first and merely returned
        raise Interrupted


def _score(
    trainer: Trainer, system: TaggingSystem, data: BagDataModule, run: RunDirectory, select: str
) -> dict[str, Any]:
    """Score the final weights (or the best on the hold-out) on the hold-out, if there is one, and on the eval set."""
    if select == "best":
        best = load_checkpoint(_callback(trainer, RunCheckpoints).best_path)
        system.load_state_dict(best["state_dict"])
    val = {}
    if data.val_fraction:
        trainer.validate(system, data, verbose=False)
        val = {"val": _callback(trainer, TaggingScore).scores["val"].summary()}
    trainer.test(system, data, verbose=False)
    return {**_record_test(trainer, data.test_store, run, data.train_set.labels.counts), **val}


def _record_test(
    trainer: Trainer, store: Store, run: RunDirectory, trained: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Write the predictions and the table of classes; return the scores of the eval set.

    Args:
        trainer: that has tested.
        store: that it scored.
        run: where to.
        trained: [K], how many clips of each class the model was trained on, where that is known.
    """
    score = _callback(trainer, TaggingScore)
    if score.predictions is None:
        raise RuntimeError("the eval set was not scored")
    probability = score.predictions[1].numpy()
    scores: TaggingScores = score.scores["test"]
    record = {"test": scores.summary()}
    averaged = None
    for averaging in _callbacks(trainer):
        if isinstance(averaging, PredictionAveraging):
            mean = averaging.average()
            record["test_averaged"] = tagging_scores(mean, torch.from_numpy(store.labels.dense())).summary()
            averaged = mean.numpy()
    if trainer.is_global_zero:
        run.write_predictions(store.columns.video_id, probability, averaged)
        columns = {"AP": scores.average_precision, "AUC": scores.auc, "d_prime": scores.d_prime_per_class}
        run.write_per_class(
            store.description.class_names,
            scores.positives.tolist(),
            {name: values.tolist() for name, values in columns.items()},
            None if trained is None else trained.tolist(),
        )
    return record


def _trainer(config: Mapping[str, Any], callbacks: list[Callback], **options: Any) -> Trainer:
    configured = [instantiate(c) for c in config["callbacks"].values() if c is not None]
    loggers = [instantiate(c) for c in (config["logger"] or {}).values() if c is not None]
    cluster = cluster_environment(device_count(config["trainer"]), config["trainer"]["num_nodes"])
    plugins = [AtomicCheckpointIO(), *([cluster] if cluster else [])]
    set_product_precision(config["trainer"])
    trainer: Trainer = instantiate(
        config["trainer"],
        callbacks=[*configured, *callbacks],
        logger=loggers,
        plugins=plugins,
        profiler=config["trainer"].get("profiler") or NoProfiler(),
        **options,
    )
    return trainer


def _callback(trainer: Trainer, kind: type[C]) -> C:
    for callback in _callbacks(trainer):
        if isinstance(callback, kind):
            return callback
    raise UserError(f"the configuration has no {kind.__name__} among its callbacks: add callbacks=default")


def _callbacks(trainer: Trainer) -> list[Callback]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def _training_record(trainer: Trainer, batch_size: int) -> dict[str, Any]:
    seconds = _callback(trainer, Timer).time_elapsed("train")
    return {
        "steps": trainer.global_step,
        "seconds": seconds,
        "clips_per_second": trainer.global_step * batch_size / seconds,
        "precision": trainer.precision,
        "accelerator": trainer.strategy.root_device.type,
        "devices": trainer.world_size,
        "threads": torch.get_num_threads(),
    }
