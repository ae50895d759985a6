"""From the options of audiobag-train to objects, and from these to a run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from omegaconf import OmegaConf

from audiobag.cli.keys import check_accepted
from audiobag.cli.messages import component_error
from audiobag.cli.schema import EvaluateOptions, TrainOptions
from audiobag.data import BagDataModule
from audiobag.data.store import Store
from audiobag.export.pretrained import export_folder
from audiobag.model import BagClassifier, build_model
from audiobag.runs import RunConfig, RunDirectory
from audiobag.runs.lengthening import lengthen_here
from audiobag.runs.presence import present
from audiobag.training import evaluate, evaluate_ensemble, fit
from audiobag.training.cluster import is_first
from audiobag.training.evaluation import Scorable
from audiobag.training.options import check_seed
from audiobag.training.trainer_options import REFUSED, check_trainer_options
from audiobag.utils.errors import InputError


def train(options: TrainOptions, config: RunConfig, out: Path) -> dict[str, Any]:
    """Build what the options describe, train it, and return metrics.json.

    Raises:
        ValueError: a component refuses its arguments, or the run cannot start.
    """
    _quiet_libraries()
    with present(out) if is_first() else nullcontext():
        return _train(options, config, out)


def _train(options: TrainOptions, config: RunConfig, out: Path) -> dict[str, Any]:
    data: BagDataModule = build("data", options.data)
    data.setup("fit")
    check_seed(options.seed)
    seed_everything(options.seed, verbose=False)
    parts = {
        "loss": build("loss", options.loss),
        "augment": _built("augment", options.augment),
        "optimizer": build("optimizer", options.optimizer),
        "lr_scheduler": build("lr_scheduler", options.lr_scheduler) if options.lr_scheduler else None,
        "callbacks": _built("callbacks", options.callbacks),
        "loggers": _built("logger", options.logger),
        **_trainer(options.trainer, fit),
    }
    model = model_of(options, data.test_store)
    lengthen_here(RunDirectory(out), config, first=is_first())
    return fit(
        model,
        data,
        out,
        seed=options.seed,
        select=options.select,
        compile=options.compile,
        graph=options.graph,
        threads=options.threads,
        ckpt_path=options.ckpt_path,
        init_from=options.init_from,
        config=config,
        **parts,
    )


def score(options: EvaluateOptions, named: Sequence[str | Path], out: Path) -> dict[str, Any]:
    """Score the model that the options name, or the ensemble of several, and return metrics.json.

    Raises:
        ValueError: a model or the eval set cannot be used.
    """
    _quiet_libraries()
    models = [_scorable(one, options.allow) for one in named]
    how: dict[str, Any] = {
        "data": build("data", options.data) if options.data else None,
        "ontology": options.ontology,
        "allow": options.allow,
        "threads": options.threads,
        **_trainer(options.trainer, evaluate),
    }
    if len(models) == 1 and not options.holdout:
        return evaluate(models[0], out, strong=options.strong, psds=options.psds, **how)
    for name, given in {"psds": options.psds, "strong": options.strong is not None}.items():
        if given:
            raise InputError(f"{name} needs one checkpoint and its eval set: score the members one by one")
    return evaluate_ensemble(models, out, combine=options.combine, holdout=options.holdout, **how)


def _scorable(model: str | Path, allow: Sequence[str]) -> str | Path | Scorable:
    """Return the tagger of an export folder or of the package as a model; runs and checkpoints unchanged."""
    if (folder := export_folder(model)) is None:
        return model
    from audiobag.export.tagger import load  # a training does not need what it imports

    tagger = load(folder, allow=allow)
    config = tagger.model_config
    training = (config.members or [config])[0].training
    metadata = {
        **{name: getattr(config, name) for name in ("dim", "scale", "offset", "encoder")},
        "class_names": list(config.class_names),
        "config": training["config"],
        "config_hash": training.get("config_hash"),
    }
    return Scorable(folder, tagger.model, metadata, None if config.members else training.get("step"))


def model_of(options: TrainOptions, store: Store) -> BagClassifier:
    """Return the model of some options, for frames and classes like those of a store."""
    return build_model(
        partial(build, "embedding", options.embedding),
        partial(build, "pooling", options.pooling),
        dim=store.dim,
        classes=store.classes,
        scale=store.description.scale,
        offset=store.description.offset,
    )


def build(key: str, config: Any, **arguments: Any) -> Any:
    """Build a component.

    Raises:
        ValueError: the component refuses its arguments; names their keys.
    """
    try:
        return instantiate(config, **arguments)
    except InstantiationException as error:
        raise component_error(key, config, error) from error


def _built(group: str, configs: dict[str, Any]) -> list[Any]:
    return [build(f"{group}.{name}", config) for name, config in configs.items() if config is not None]


def _trainer(config: dict[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Return the Trainer's class and options as `fit` or `evaluate` takes them.

    Raises:
        ValueError: an option is none of the Trainer's, or one that the function has for itself.
    """
    made = build("trainer", config, _partial_=True)
    for name in made.keywords:
        if name in signature(function).parameters and name not in REFUSED:
            raise InputError(f"trainer.{name} is not an option of the Trainer: did you mean {name}?")
    check_accepted("trainer", made.keywords, made.func)
    # Hydra leaves lists and mappings in its own containers.
    given = {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in made.keywords.items()}
    check_trainer_options(given)
    return {"trainer": made.func, **given} if made.func is not Trainer else given


def _quiet_libraries() -> None:
    """Drop Lightning's information messages and warnings that no user can act on."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # lightning 2.6 with torch 2.13
    warnings.filterwarnings("ignore", r"The number of training batches \(\d+\) is smaller than the logging interval")
    warnings.filterwarnings("ignore", "The `srun` command is available")  # the login node of a cluster
