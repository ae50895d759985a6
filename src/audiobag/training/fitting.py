"""Training: a model and data in, a run directory out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar, Timer, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, Logger
from torch import nn

from audiobag.augment import Augmentation
from audiobag.data import BagDataModule
from audiobag.data.strong import StrongLabels
from audiobag.labels import LearnsOfClips, TrainingClips
from audiobag.loss import ClipBCE
from audiobag.metrics import Tagging
from audiobag.model import BagClassifier
from audiobag.runs import RunConfig, RunDirectory
from audiobag.runs.checkpoints import checkpoint_metadata, load_checkpoint, newest_whole
from audiobag.runs.provenance import provenance
from audiobag.tracking import Subject, mirror, tracked
from audiobag.training.callbacks import Heartbeat, Observer, Progress, ProgressLines, RunCheckpoints, TaggingScore
from audiobag.training.cluster import is_first
from audiobag.training.devices import device_count, keep_freed_memory, set_threads
from audiobag.training.interruption import deferred, requested
from audiobag.training.localisation import collect_frames, own_strong_labels, with_localisation
from audiobag.training.module import OptimizerFactory, SchedulerFactory, TaggingModule
from audiobag.training.options import check_clipping, check_compile, check_seed
from audiobag.training.scoring import write_hold_out, write_test
from audiobag.training.starting import check_continuable, checkpoint_of, initialise
from audiobag.training.summary import training_summary
from audiobag.training.trainer import checked_options, make_trainer
from audiobag.training.trainer_options import timer
from audiobag.training.whole_step import WholeStepModule, captures, obstacle
from audiobag.utils.errors import InputError, Interrupted
from audiobag.utils.files import check_writable
from audiobag.utils.values import check_choice

_LOG = logging.getLogger(__name__)


def fit(
    model: BagClassifier,
    data: BagDataModule,
    out: str | Path,
    *,
    loss: nn.Module | None = None,
    augment: Sequence[nn.Module] = (),
    optimizer: OptimizerFactory | None = None,
    lr_scheduler: SchedulerFactory | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    seed: int = 0,
    select: str = "last",
    compile: str | None = None,  # noqa: A002 - torch's name
    graph: str = "auto",
    threads: int | None = None,
    ckpt_path: str | Path | None = None,
    init_from: str | Path | None = None,
    config: RunConfig | None = None,
    trainer: Callable[..., Trainer] = Trainer,
    **trainer_options: Any,
) -> dict[str, Any]:
    """Train a model, score it on the eval set and record the run; or continue an interrupted run.

    Args:
        model: the classifier; it is trained in place.
        data: stores to train on, to validate on and to score.
        out: folder of the run; see `audiobag.runs.directory` for its content. A complete run there is not repeated.
        loss: maps (prediction, labels, mask) to a scalar; `ClipBCE` by default.
        augment: modules that each map training bags to training bags, such as `audiobag.augment.Mixup`, applied one
            after another on the device, those of single clips' labels first (see `Augmentation.before_others`).
        optimizer: makes the optimizer from the parameters; Adam with a rate of 0.001 by default.
        lr_scheduler: makes the learning-rate scheduler from the optimizer; it is stepped once a batch.
        callbacks: further Lightning callbacks. Scoring, checkpoints and the record of progress are added if missing.
        loggers: Lightning loggers and trackers, beside the CSV files in the run's folder.
        seed: seed of dropout, of augmentations and of whatever else is random while training.
        select: weights that are scored: those after the "last" step, or the "best" on the hold-out.
        compile: mode of torch.compile for the training steps; None for none.
        graph: whether to capture training steps as a CUDA graph: "auto" for wherever that is possible, "always" to
            refuse trainings where it is not, or "never"; see `WholeStep`.
        threads: CPU threads of each process; None for torch's choice.
        ckpt_path: checkpoint to continue from where the run has none of its own yet.
        init_from: checkpoint whose weights the model starts with; see `starting.initialise`.
        config: the configuration to record. Without it, the arguments are described in words, and the checkpoint can
            only be loaded into a model that is built again in Python.
        trainer: makes the Trainer.
        **trainer_options: options of `lightning.Trainer`, among them `max_steps`.

    Returns:
        The content of metrics.json.

    Raises:
        ValueError: an argument cannot be honoured, or the folder holds a run of another configuration.
    """
    options = checked_options(trainer_options)
    optimizer = optimizer or partial(torch.optim.Adam, lr=1e-3)
    check_clipping(options, bool(getattr(optimizer, "keywords", {}).get("fused")))
    check_compile(compile)
    data.check_processes(device_count(options["accelerator"], options["devices"]) * options["num_nodes"])
    check_seed(seed)
    _check_select(select, data, options)
    run = RunDirectory(Path(out))
    config = config or _described(model, data, augment, seed, select, options)
    if (record := run.finished(config.config)) is not None:
        return record
    check_writable(run.path)
    data.setup("fit")
    threads = set_threads(run.threads() if threads is None else threads, options["devices"])
    if is_first():
        run.begin(replace(config, threads=threads))
    loss = loss or ClipBCE()
    _tell_of_clips([*augment, loss], data)
    augment = sorted(augment, key=lambda part: not (isinstance(part, Augmentation) and part.before_others))
    seed_everything(seed, verbose=False)
    resumed = newest_whole(run) or (checkpoint_of(Path(ckpt_path)) if ckpt_path else None)
    if init_from is not None and resumed is None:  # a checkpoint to continue from replaces these weights
        initialise(model, Path(init_from), data.test_store)
    metadata = checkpoint_metadata(config.config, data.test_store)
    parts = (model, loss, optimizer, lr_scheduler, seed, metadata, augment, compile)
    module = _module(parts, data, options, graph, compile)
    for sentence in training_summary(module, data):
        _LOG.info(sentence)
    if resumed is not None:
        check_continuable(resumed, module)
    clock = timer(options.pop("max_time", None))
    strong = own_strong_labels(data.test_store)
    further = [clock] if strong is None else [clock, collect_frames(data.test_store, strong)]
    made = make_trainer(
        trainer,
        _with_defaults([*callbacks, *further], run),
        loggers or [CSVLogger(run.path, name="csv")],
        options,
        data,
    )
    if resumed is not None:
        _LOG.info("continuing from %s", resumed)
    stores = (*data.train_stores, data.test_store)
    origin = {
        "config_hash": config.hash,
        "choices": dict(config.choices or {}),
        "stores": {s.path.stem: s.content_sha256 for s in stores},
        **provenance(),
    }
    active = made.loggers if made.is_global_zero else []
    with tracked(active, Subject(run, {**config.config, **origin}, stores, _sizes(model, data))) as trackers:
        _fit(made, module, data, resumed)
        scores = _score(made, module, data, run, select, strong)
        record = {"status": "done", "seed": seed, **scores, "train": _speed(made, clock, data.batch_size), **origin}
        if made.is_global_zero:
            run.write_metrics(record)
        mirror(trackers, run, data.test_store)
    return record


def _check_select(select: str, data: BagDataModule, options: Mapping[str, Any]) -> None:
    """Check that there are weights of the kind that is to be scored."""
    check_choice("select", select, ("last", "best"))
    if select == "last":
        return
    if not data.holds_out:
        raise InputError("select cannot be best without a hold-out: use a val_fraction above 0, a fold, or last")
    steps, interval = options.get("max_steps"), options["val_check_interval"]
    if steps is not None and steps < interval:
        raise InputError(
            f"val_check_interval must be at most max_steps={steps} if select is best, got {interval}: validate more"
            " often, or train for longer"
        )


def _tell_of_clips(parts: Sequence[nn.Module], data: BagDataModule) -> None:
    """Pass the training clips to the losses and augmentations that need them."""
    info = data.test_store.description
    train = data.train_set
    clips = TrainingClips(train.video_id, train.labels, info.class_mids, info.scale, data.holds_out)
    for part in parts:
        if isinstance(part, LearnsOfClips):
            part.set_training_clips(clips)


def _with_defaults(callbacks: Sequence[Callback], run: RunDirectory) -> list[Callback]:
    """Return callbacks with those added that every run needs."""
    needed: dict[type[Callback], Callable[[], Callback]] = {
        TaggingScore: lambda: TaggingScore(Tagging),
        RunCheckpoints: lambda: RunCheckpoints(run.checkpoints, every=250),
        Heartbeat: lambda: Heartbeat(run.progress),
        ProgressBar: Progress,
    }
    missing = [make() for kind, make in needed.items() if not any(isinstance(c, kind) for c in callbacks)]
    # Other callbacks see the averaged weights of the step, and the last one reads what they log.
    first = sorted([*callbacks, *missing], key=lambda callback: not isinstance(callback, WeightAveraging))
    return [*first, Observer(), ProgressLines()]


def _module(
    parts: Sequence[Any],
    data: BagDataModule,
    options: Mapping[str, Any],
    graph: str,
    compile: str | None,  # noqa: A002 - torch's name
) -> TaggingModule:
    """Return the module of a training; where whole steps can be captured as a CUDA graph, `data` is set to them too."""
    module = TaggingModule(*parts)
    lengths, optimizer = data.train_set.lengths, module.configure_optimizers()["optimizer"]
    padding = lengths.max() / lengths.mean()
    reason = obstacle(options, placement=data.placement, padding=padding, compile=compile, optimizer=optimizer)
    if not captures(graph, options, reason):
        return module
    data.whole_steps = True
    return WholeStepModule(*parts, graph_required=graph == "always")


def _described(
    model: BagClassifier,
    data: BagDataModule,
    augment: Sequence[nn.Module],
    seed: int,
    select: str,
    options: Mapping[str, Any],
) -> RunConfig:
    """Return a configuration that tells runs of different objects apart, in words."""
    config = {
        "seed": seed,
        "select": select,
        "model": repr(model),
        "data": {
            "root": str(data.root),
            "train": list(data.train_names),
            "test": data.test_name,
            "batch_size": data.batch_size,
            "val_fraction": data.val_fraction,
            "fold": data.fold,
            "folds": data.folds,
        },
        "trainer": {k: v if isinstance(v, int | float | str | None) else repr(v) for k, v in options.items()},
    }
    if augment:
        config["augment"] = [repr(part) for part in augment]
    return RunConfig(config)


def _fit(trainer: Trainer, module: TaggingModule, data: BagDataModule, checkpoint: Path | None) -> None:
    keep_freed_memory()
    with deferred():
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if requested():  # between two steps Lightning notices the signal first, and returns
        raise Interrupted


def _score(
    trainer: Trainer,
    module: TaggingModule,
    data: BagDataModule,
    run: RunDirectory,
    select: str,
    strong: StrongLabels | None,
) -> dict[str, Any]:
    """Score the selected weights on the hold-out, if there is one, and on the eval set."""
    if select == "best":
        module.load_state_dict(load_checkpoint(run.best_checkpoint)["state_dict"])
    val = {}
    if data.holds_out:
        trainer.validate(module, data, verbose=False)
        val = {"val": write_hold_out(trainer, data.val_set.video_id, run)}
    trainer.test(module, data, verbose=False)
    scores = write_test(trainer, data.test_store, run, data.train_set.labels.counts)
    return {**with_localisation(scores, trainer, data.test_store, strong, run), **val}


def _sizes(model: BagClassifier, data: BagDataModule) -> dict[str, int]:
    """Return the sizes of the scored checkpoint, where Adam keeps two numbers a weight, and of the predictions."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {"model": 3 * weights, "predictions": 4 * len(data.test_store) * data.test_store.classes}


def _speed(trainer: Trainer, clock: Timer, batch_size: int) -> dict[str, Any]:
    seconds = clock.time_elapsed("train")
    return {
        "steps": trainer.global_step,
        "seconds": seconds,
        "clips_per_second": trainer.global_step * batch_size / seconds,
        "precision": trainer.precision,
        "accelerator": trainer.strategy.root_device.type,
        "devices": trainer.world_size,
        "threads": torch.get_num_threads(),
    }
