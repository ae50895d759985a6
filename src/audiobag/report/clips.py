"""A few clips of a run as its model hears them: found, and most wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from audiobag.choosing import clip_loss, highest
from audiobag.errors import UserError
from audiobag.pictures import Shown, cut, show
from audiobag.report.collect import Run
from audiobag.report.evidence import Labels, predictions
from audiobag.report.systems import System
from audiobag.store import Store

if TYPE_CHECKING:  # torch takes seconds to import, and a report without clips does not need it
    from audiobag.bags import BagPrediction

_EACH = 3


@runtime_checkable
class Model(Protocol):
    """What is asked of a trained model."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""

    def predict(self, frames: Any, lengths: Any = None) -> BagPrediction:
        """Return what the model says of a list of bags [T_i, D]."""


Load = Callable[[Path], Model]
"""Makes a model of a checkpoint; given by the caller, for what can do so stands above a report."""


def scored_checkpoint(run: Run) -> Path:
    """Return the weights that the run's scores are of.

    Raises:
        UserError: they are not there any more.
    """
    steps = run.metrics.get("train", {}).get("steps", 0)
    name = "best.ckpt" if run.config.get("select") == "best" else f"step-{steps:08d}.ckpt"
    path = run.directory.checkpoints / name
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}, which was scored")
    return path


def load_scored(run: Run, store: Store, load: Load) -> Model:
    """Return the model that a run's scores are of.

    Raises:
        UserError: its checkpoint is not there, cannot be read, or is of other classes than the store.
    """
    path = scored_checkpoint(run)
    model = load(path)
    if tuple(model.class_names) != store.description.class_names:
        raise UserError(f"{path} knows other classes than {store.path}")
    return model


def look(
    model: Model, store: Store, rows: Mapping[int, str], *, also: Sequence[int] = (), count: int = 5
) -> list[Shown]:
    """Return clips of a store as the model hears them, labels marked.

    Args:
        model: says f, p and F.
        store: with frames and labels.
        rows: the clips, and what to say of each beside its id.
        also: classes to show whatever their F.
        count: how many of a clip's likeliest classes.
    """
    columns, about = store.columns, store.description
    bags = [np.asarray(store.frames[columns.offsets[i] : columns.offsets[i + 1]]) for i in rows]
    if not bags:
        return []
    said = model.predict(bags)
    shown = []
    for n, (i, why) in enumerate(rows.items()):
        T, start = len(bags[n]), float(columns.start_seconds[i])
        video_id = bytes(columns.video_id[i]).decode(errors="replace")
        shown.append(
            show(
                f"{video_id} - {why}" if why else video_id,
                about.class_names,
                said.clip[n].numpy(),
                said.frame[n, :T].numpy(),
                said.measure[n, :T].numpy(),
                seconds=about.frame_seconds,
                start=start if np.isfinite(start) else 0.0,
                labels=columns.label_ids[columns.label_offsets[i] : columns.label_offsets[i + 1]].tolist(),
                also=also,
                count=count,
            )
        )
    return shown


def telling(system: System, labels: Labels, load: Load, classes: Mapping[int, str]) -> tuple[list[Shown], list[Shown]]:
    """Return up to three clips in which one of the classes was found best, and the three of the largest loss.

    Of the system's first seed.

    Raises:
        UserError: the store, the predictions or the checkpoint is not at hand.
    """
    run = system.runs[0]
    store = labels.scored(run)
    model = load_scored(run, store, load)
    probability, positive = predictions(run, store, averaged=False), store.labels.dense()
    return (
        look(model, store, _found(probability, positive, classes)),
        look(model, store, _most_wrong(probability, positive)),
    )


def _found(probability: NDArray[np.float32], positive: NDArray[np.bool_], classes: Mapping[int, str]) -> dict[int, str]:
    having = [k for k in classes if positive[:, k].any()]
    spread = dict.fromkeys(
        having[n] for n in np.linspace(0, len(having) - 1, min(_EACH, len(having))).round().astype(int)
    )
    return {highest(probability[:, k], positive[:, k], 1)[0]: f"found: {cut(classes[k])}" for k in spread}


def _most_wrong(probability: NDArray[np.float32], positive: NDArray[np.bool_]) -> dict[int, str]:
    loss = clip_loss(probability, positive)
    return {i: f"loss {loss[i]:.4f}" for i in highest(loss, np.ones(len(loss), bool), _EACH)}
