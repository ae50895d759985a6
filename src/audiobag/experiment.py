"""A configuration to objects, the objects to a run directory. DictConfig stops here."""

from __future__ import annotations

import logging
import platform
import subprocess
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.utils import instantiate
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import Timer

from audiobag.callbacks import PredictionAveraging, RunCheckpoints, TaggingScore
from audiobag.checkpoint import about, check_scorable, load_checkpoint, newest_whole
from audiobag.data import BagDataModule
from audiobag.errors import Interrupted, UserError
from audiobag.hardware import check_trainer
from audiobag.interruption import deferred, requested
from audiobag.metrics import TaggingScores, tagging_scores
from audiobag.model import BagClassifier
from audiobag.runs import RunDirectory, config_hash
from audiobag.store import Store
from audiobag.system import TaggingSystem
from audiobag.tracking import Observer, Subject, mirror, tracked

_LOG = logging.getLogger(__name__)
C = TypeVar("C", bound=Callback)
for _chatty in ("lightning.pytorch", "lightning.fabric"):  # they set handlers and a level of their own on import
    logging.getLogger(_chatty).handlers.clear()
    logging.getLogger(_chatty).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # lightning 2.6 against torch 2.13
_STACK = (
    "audiobag",
    "torch",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "wandb",
    "h5py",
    "numpy",
)


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
    run.begin(hashed)
    check_trainer(config["trainer"])
    if config["select"] == "best" and not config["data"]["val_fraction"]:
        raise UserError("select=best needs a hold-out: set data.val_fraction above 0, or take select=last")
    _set_threads(config["threads"])
    data: BagDataModule = instantiate(config["data"])
    data.setup("fit")
    seed_everything(config["seed"], verbose=False)
    system = build_system(config, data.test_store)
    without_validation = {} if data.val_fraction else {"limit_val_batches": 0}
    trainer = _trainer(config, [Timer(), Observer()], **without_validation)
    resumed = newest_whole(run.checkpoints)
    if resumed is not None:
        _LOG.info("continuing from %s", resumed)
    stores = (*data.train_stores, data.test_store)
    origin = {
        "config_hash": hashed,
        "choices": dict(choices),
        "stores": {s.path.stem: s.content_sha256 for s in stores},
        **_provenance(),
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
        mirror(trackers, run, data.test_store, data.train_set.labels.counts, config["select"])
    return record


def evaluate(config: Mapping[str, Any], run: RunDirectory) -> dict[str, Any]:
    """Score a checkpoint, on its own eval set or another; return its metrics.json.

    Args:
        config: `checkpoint`, `trainer`, `threads`, and `data` unless it is the checkpoint's own.
        run: where everything goes.

    Raises:
        UserError: no checkpoint of ours, or a store that it cannot score.
    """
    path = Path(config["checkpoint"])
    checkpoint = load_checkpoint(path)
    known = checkpoint["audiobag"]
    check_trainer(config["trainer"])
    _set_threads(config["threads"])
    data: BagDataModule = instantiate(config.get("data") or known["config"]["data"])
    check_scorable(path, known, data.test_store)
    system = build_system(known["config"], data.test_store)
    system.load_state_dict(checkpoint["state_dict"])
    callbacks = {k: v for k, v in known["config"]["callbacks"].items() if k in ("score", "progress")}
    trainer = _trainer({**config, "callbacks": callbacks, "logger": None}, [])
    trainer.test(system, data, verbose=False)
    record = {
        "status": "done",
        "checkpoint": str(path),
        "step": checkpoint["global_step"],
        **_record_test(trainer, data.test_store, run),
        "stores": {data.test_store.path.stem: data.test_store.content_sha256},
        **_provenance(),
    }
    if trainer.is_global_zero:
        run.write_metrics(record)
    return record


def build_system(config: Mapping[str, Any], store: Store) -> TaggingSystem:
    """Return the model, loss and optimiser of a configuration, for frames and classes like those of `store`."""
    embedding = instantiate(config["embedding"], in_features=store.dim)
    pooling = instantiate(config["pooling"], in_features=embedding.out_features, classes=store.classes)
    return TaggingSystem(
        BagClassifier(embedding, pooling, store.description.scale, store.description.offset),
        loss=instantiate(config["loss"]),
        optimizer=instantiate(config["optimizer"]),
        scheduler=instantiate(config["scheduler"]),
        seed=config["seed"],
        checkpoint_extra=about(config, store),
    )


def _fit(trainer: Trainer, system: TaggingSystem, data: BagDataModule, checkpoint: Path | None) -> None:
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
    return {**_record_test(trainer, data.test_store, run), **val}


def _record_test(trainer: Trainer, store: Store, run: RunDirectory) -> dict[str, Any]:
    """Write the predictions and the table of classes; return the scores of the eval set."""
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
        )
    return record


def _trainer(config: Mapping[str, Any], callbacks: list[Callback], **options: Any) -> Trainer:
    configured = [instantiate(c) for c in config["callbacks"].values() if c is not None]
    loggers = [instantiate(c) for c in (config["logger"] or {}).values() if c is not None]
    trainer: Trainer = instantiate(config["trainer"], callbacks=[*configured, *callbacks], logger=loggers, **options)
    return trainer


def _callback(trainer: Trainer, kind: type[C]) -> C:
    for callback in _callbacks(trainer):
        if isinstance(callback, kind):
            return callback
    raise UserError(f"the configuration has no {kind.__name__} among its callbacks: add callbacks=default")


def _callbacks(trainer: Trainer) -> list[Callback]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        if threads < 1:
            raise UserError(f"threads={threads}; expected at least 1, or null for torch's choice")
        torch.set_num_threads(threads)


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


def _provenance() -> dict[str, Any]:
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _STACK}},
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """Return the revision of the source, `-dirty` where it has changes; None outside a checkout."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
