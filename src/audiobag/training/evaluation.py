"""Evaluation: score a checkpoint on an eval set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, Trainer
from numpy.typing import NDArray

from audiobag.data import BagDataModule
from audiobag.data.store import Store
from audiobag.data.strong import StrongLabels, strong_labels
from audiobag.loss import ClipBCE
from audiobag.metrics import Tagging, class_distances
from audiobag.metrics.sed import check_sed
from audiobag.model import BagClassifier, Ensemble
from audiobag.runs import RunDirectory, resolve_checkpoint
from audiobag.runs.checkpoints import check_scorable, checkpoint_model, load_checkpoint
from audiobag.runs.eval_set import find_eval_store
from audiobag.runs.provenance import provenance
from audiobag.training.callbacks import Progress, TaggingScore
from audiobag.training.devices import set_threads
from audiobag.training.localisation import collect_frames, own_strong_labels, with_localisation
from audiobag.training.module import TaggingModule
from audiobag.training.scoring import write_test
from audiobag.training.trainer import TRAINER_DEFAULTS, checked_options, make_trainer
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_writable


@dataclass(frozen=True, slots=True)
class Scorable:
    """A model with its weights, and what is known of its training.

    Attributes:
        path: where it was read from, for messages and the record.
        model: the classifier or the ensemble.
        metadata: what the entry `audiobag` of a checkpoint has; see `runs.checkpoints`.
        step: completed steps of the training; None for an ensemble.
    """

    path: Path
    model: BagClassifier | Ensemble
    metadata: Mapping[str, Any]
    step: int | None

    @classmethod
    def of_checkpoint(cls, checkpoint: str | Path, allow: Sequence[str] = ()) -> Scorable:
        """Read a checkpoint, or that of a run which belongs to its scores.

        Raises:
            ValueError: it cannot be read, or it names a class that is not allowed.
        """
        path = resolve_checkpoint(checkpoint)
        content = load_checkpoint(path)
        return cls(path, checkpoint_model(path, content, allow), content["audiobag"], content["global_step"])


def evaluate(
    checkpoint: str | Path | Scorable,
    out: str | Path,
    *,
    data: BagDataModule | None = None,
    ontology: str | Path | None = None,
    strong: str | Path | None = None,
    psds: bool = False,
    allow: Sequence[str] = (),
    threads: int | None = None,
    trainer: Callable[..., Trainer] = Trainer,
    **trainer_options: Any,
) -> dict[str, Any]:
    """Score a checkpoint and write predictions.h5, per_class.csv and metrics.json.

    With strong labels, localisation.csv and localisation.h5 are written too.

    Args:
        checkpoint: a checkpoint, the folder of a run for the weights that it scored, or a model.
        out: folder to write to.
        data: whose eval set to score; None for the checkpoint's own.
        ontology: ontology of the classes, for the ontology-aware mAP, see `class_distances`, and for strong labels
            that are not classes. None for no such score, and to leave out such labels.
        strong: a file of events, against which to score what the model says about each second; "planted" for the
            witnesses of a synthetic store; None for the strong labels that the eval set has, if it has any. See
            `strong_labels` and `localisation_scores`.
        psds: with strong labels, compute PSDS and the intersection-based F1 too, see `event_scores`.
        allow: further packages whose classes the checkpoint may name; see `safe_instantiate`.
        threads: CPU threads of each process; None for torch's choice.
        trainer: makes the Trainer.
        **trainer_options: options of `lightning.Trainer`.

    Returns:
        The content of metrics.json.

    Raises:
        ValueError: the checkpoint cannot be read, or the eval set has other frames or classes.
    """
    run = RunDirectory(Path(out))
    check_writable(run.path)
    run.check_not_trained()
    scored = checkpoint if isinstance(checkpoint, Scorable) else Scorable.of_checkpoint(checkpoint, allow)
    data = data or own_eval_set(scored.path, scored.metadata["config"])
    distance = distances(ontology, data.test_store)
    set_threads(threads, trainer_options.get("devices", TRAINER_DEFAULTS["devices"]))
    own = strong is None
    labels = own_strong_labels(data.test_store) if own else strong_labels(data.test_store, strong, ontology)
    if psds:
        _check_psds(labels)
    also = [] if labels is None else [collect_frames(data.test_store, labels)]
    made = tested(scored, data, trainer, also, **trainer_options)
    if made.is_global_zero:
        run.remove_results()
    scores = write_test(made, data.test_store, run, distance=distance)
    record = {
        "status": "done",
        "checkpoint": str(scored.path),
        **({} if scored.step is None else {"step": scored.step}),
        **with_localisation(scores, made, data.test_store, labels, run, psds),
        "stores": {data.test_store.path.stem: data.test_store.content_sha256},
        **provenance(),
    }
    if made.is_global_zero:
        run.write_metrics(record)
    return record


def _check_psds(strong: StrongLabels | None) -> None:
    check_sed()
    if strong is None:
        raise InputError("psds needs strong labels, which the eval set does not have: give a file of events as strong")
    if strong.truth.known is not None:
        raise InputError("psds needs all events of a clip, got strong labels with explicit negatives: psds=false")


def tested(
    scored: Scorable,
    data: BagDataModule,
    trainer: Callable[..., Trainer],
    also: Sequence[Callback],
    **trainer_options: Any,
) -> Trainer:
    """Return a Trainer that has tested a model with `TaggingScore` and further callbacks.

    Raises:
        ValueError: the eval set has other frames or classes, or an option cannot be honoured.
    """
    options = {**checked_options(trainer_options), "enable_checkpointing": False}
    check_scorable(scored.path, scored.metadata, data.test_store)
    module = TaggingModule(scored.model, ClipBCE(), optimizer=_no_optimizer)
    made = make_trainer(trainer, [TaggingScore(Tagging), Progress(), *also], [], options, data)
    made.test(module, data, verbose=False)
    return made


def distances(ontology: str | Path | None, store: Store) -> NDArray[np.int16] | None:
    """Return the distances [K, K] of a store's classes in an ontology; None without one.

    Raises:
        ValueError: the file is not an ontology, or lacks a class.
    """
    return None if ontology is None else class_distances(Path(ontology), store.description.class_mids)


def own_eval_set(path: Path, config: Mapping[str, Any]) -> BagDataModule:
    """Return the eval set that a checkpoint names. Only values are taken from it, and nothing is called."""
    store = find_eval_store(config, path)
    batch_size = config["data"].get("batch_size", 500)
    return BagDataModule(store.path.parent, train=(), test=store.path.stem, batch_size=batch_size)


def _no_optimizer(_: object) -> Any:
    raise RuntimeError("a checkpoint that is evaluated is not trained")
