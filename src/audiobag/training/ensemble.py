"""Evaluation of an ensemble: the members' predictions, averaged, on an eval set or on the hold-out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning import Trainer
from numpy.typing import NDArray
from torch import Tensor

from audiobag.data import BagDataModule
from audiobag.data.store import Store
from audiobag.labels import LabelTable
from audiobag.metrics import further_scores, tagging_scores
from audiobag.model import mean_of_logits
from audiobag.runs import RunConfig, RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from audiobag.runs.eval_set import find_train_stores
from audiobag.runs.predictions import rows_of
from audiobag.runs.provenance import provenance
from audiobag.training.callbacks import TaggingScore
from audiobag.training.devices import set_threads
from audiobag.training.evaluation import Scorable, distances, own_eval_set, tested
from audiobag.training.scoring import callback_of, write_class_scores
from audiobag.training.trainer import TRAINER_DEFAULTS
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_writable
from audiobag.utils.values import check_choice


def _mean(probabilities: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(probabilities)).mean(0)


COMBINATIONS: Final[Mapping[str, Callable[[Sequence[Tensor]], Tensor]]] = {
    "logit": mean_of_logits,
    "probability": _mean,
}


def evaluate_ensemble(
    members: Sequence[str | Path | Scorable],
    out: str | Path,
    *,
    combine: str = "logit",
    holdout: bool = False,
    data: BagDataModule | None = None,
    ontology: str | Path | None = None,
    allow: Sequence[str] = (),
    threads: int | None = None,
    trainer: Callable[..., Trainer] = Trainer,
    **trainer_options: Any,
) -> dict[str, Any]:
    r"""Score the average of several models' predictions; write predictions.h5, per_class.csv and metrics.json.

    $$F = \sigma\Big(\frac{1}{M} \sum_m \mathrm{logit}\, F^{(m)}\Big) \quad \text{or} \quad
      F = \frac{1}{M} \sum_m F^{(m)}$$

    Predictions that a run saved for the same eval set, by its checksum, are read; others are computed.

    Args:
        members: folders of runs, checkpoints, or models; architectures may differ.
        out: folder to write to.
        combine: "logit" for the mean of the logits of probabilities clipped to [1e-7, 1 - 1e-7]; "probability" for the
            mean of the probabilities.
        holdout: True to score the members' hold-out instead of an eval set, from the predictions that the runs saved;
            it is written as holdout.h5.
        data: whose eval set to score; None for that of the first member.
        ontology: see `evaluate`.
        allow: see `evaluate`.
        threads: see `evaluate`.
        trainer: makes the Trainer.
        **trainer_options: options of `lightning.Trainer`.

    Returns:
        The content of metrics.json.

    Raises:
        ValueError: there are no members, or a member cannot be read or has other classes or clips; names the member.
    """
    check_choice("combine", combine, COMBINATIONS)
    if not members:
        raise InputError("checkpoint must have at least one run or checkpoint, got none")
    run = RunDirectory(Path(out))
    check_writable(run.path)
    run.check_not_trained()
    read = [_Member.of(member) for member in members]
    config: dict[str, Any] = {"ensemble": {"combine": combine, "members": [member.identity for member in read]}}
    set_threads(threads, trainer_options.get("devices", TRAINER_DEFAULTS["devices"]))
    if holdout:
        stores = tuple(find_train_stores(read[0].config, read[0].near))
        predict = partial(_hold_out, read, stores)
    else:
        data = data or own_eval_set(read[0].near, read[0].config)
        stores = (data.test_store,)
        config["data"] = {"root": str(stores[0].path.parent), "test": stores[0].path.stem}
        predict = partial(_eval_set, read, data, allow, trainer, trainer_options)
    distance = distances(ontology, stores[0])
    run.check(config)
    scored = predict()
    probability = COMBINATIONS[combine]([torch.from_numpy(one) for one in scored.probabilities]).float()
    labels = torch.from_numpy(scored.labels.dense())
    scores = tagging_scores(probability, labels)
    record = {
        "status": "done",
        "seed": 0,
        "choices": {},
        "ensemble": {"combine": combine, "members": [str(member.near) for member in read]},
        scored.key: {**scores.summary(), **further_scores(probability, labels, distance)},
        "stores": {store.path.stem: store.content_sha256 for store in stores},
        **provenance(),
    }
    run.begin(RunConfig(config))
    run.remove_results()
    write = run.write_hold_out if holdout else run.write_predictions
    write(scored.video_id, probability.numpy())
    write_class_scores(run, stores[0], scores)
    run.write_metrics(record)
    return record


@dataclass(frozen=True, slots=True)
class _Member:
    """A run or a checkpoint.

    Attributes:
        near: the run's folder, or the checkpoint.
        config: the configuration of its training.
        metrics: the run's metrics.json; None for others.
        identity: what tells it from other members, in plain containers.
        model: a model that was given itself; None for others.
    """

    near: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Any] | None
    identity: Mapping[str, Any]
    model: Scorable | None = None

    @classmethod
    def of(cls, member: str | Path | Scorable) -> _Member:
        if isinstance(member, Scorable):
            known = {"config_hash": member.metadata["config_hash"], "step": member.step, "name": member.path.name}
            return cls(member.path, member.metadata["config"], None, known, member)
        near = Path(member)
        if not near.is_dir():
            content = load_checkpoint(near)
            metadata = content["audiobag"]
            identity = {"config_hash": metadata["config_hash"], "step": content["global_step"], "name": near.name}
            return cls(near, metadata["config"], None, identity)
        run = RunDirectory(near)
        metrics = run.metrics()
        if metrics is None or "train" not in metrics:
            raise InputError(f"{near} is not a complete training run: {run.instead()}")
        recorded = run.config()
        return cls(near, recorded.config, metrics, {"config_hash": recorded.hash, "step": metrics["train"]["steps"]})

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.near)

    def trained_on(self, store: Store) -> bool:
        """Return whether a store is one that the run recorded, by its checksum."""
        return store.content_sha256 in (self.metrics or {}).get("stores", {}).values()


@dataclass(frozen=True, slots=True)
class _Scored:
    """What is scored: the key in metrics.json, clips, their labels and the predictions of each member."""

    key: str
    video_id: NDArray[np.character]
    labels: LabelTable
    probabilities: Sequence[NDArray[np.float32]]


def _eval_set(members: Sequence[_Member], data: BagDataModule, *how: Any) -> _Scored:
    """Return an eval set, with the members' predictions of it."""
    store, found = data.test_store, [_of_eval_set(member, data, *how) for member in members]
    return _Scored("test", store.columns.video_id, store.labels, found)


def _of_eval_set(
    member: _Member,
    data: BagDataModule,
    allow: Sequence[str],
    trainer: Callable[..., Trainer],
    trainer_options: Mapping[str, Any],
) -> NDArray[np.float32]:
    """Return a member's predictions [N, K] of an eval set: those saved for it, or new ones."""
    store = data.test_store
    if member.trained_on(store) and member.run.predictions.is_file():
        video_id, probability = member.run.read_predictions()
        if not np.array_equal(video_id, store.columns.video_id) or probability.shape[1] != store.classes:
            raise InputError(f"{member.run.predictions} has other clips or classes than {store.path}")
        return probability
    scored = member.model or Scorable.of_checkpoint(member.near, allow)
    made = tested(scored, data, trainer, (), **trainer_options)
    predicted: NDArray[np.float32] = callback_of(made, TaggingScore).predictions["test"][1].numpy()
    return predicted


def _hold_out(members: Sequence[_Member], stores: Sequence[Store]) -> _Scored:
    """Return the hold-out that the members share, with their saved predictions.

    Raises:
        ValueError: a member has no such predictions, or held out other clips than the first.
    """
    read = list(_saved_hold_outs(members, stores))
    video_id = read[0][0]
    rows = rows_of(video_id, np.concatenate([store.columns.video_id for store in stores]))
    if (rows < 0).any():
        raise InputError(f"{members[0].run.hold_out} has clips that {stores[0].path} does not have")
    labels = LabelTable.concatenate([store.labels for store in stores]).take(rows)
    return _Scored("val", video_id, labels, [probability for _, probability in read])


def _saved_hold_outs(
    members: Sequence[_Member], stores: Sequence[Store]
) -> Iterator[tuple[NDArray[np.character], NDArray[np.float32]]]:
    """Yield clips and predictions of each member's hold-out, which are checked against those of the first."""
    expected = None
    for member in members:
        if not member.run.hold_out.is_file():
            raise InputError(
                f"{member.near} has no predictions of a hold-out, holdout.h5: give runs that held clips out"
            )
        video_id, probability = member.run.read_hold_out()
        expected = video_id if expected is None else expected
        if not all(member.trained_on(store) for store in stores):
            raise InputError(f"{member.near} was trained on other stores than {stores[0].path}")
        if not np.array_equal(video_id, expected):
            raise InputError(f"{member.near} held out other clips than {members[0].near}: give runs of one fold")
        if probability.shape[1] != stores[0].classes:
            raise InputError(f"{member.run.hold_out} has {probability.shape[1]} classes, expected {stores[0].classes}")
        yield video_id, probability
