"""Pictures of a few clips of a run, as its model hears them: found clips and those with the largest loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from audiobag.data.store import Store
from audiobag.pictures.clips import ClipPicture, clip_picture
from audiobag.pictures.listening import listening_of
from audiobag.report.clip_selection import clip_loss, highest, recognised
from audiobag.report.collect import Run
from audiobag.report.evidence import Labels, predictions
from audiobag.report.systems import System
from audiobag.utils.errors import InputError
from audiobag.utils.plotting import cut

if TYPE_CHECKING:  # torch takes seconds to import, and a report without clips does not need it
    from audiobag.bags import BagPrediction

_EACH = 3


@runtime_checkable
class Model(Protocol):
    """A trained model."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""

    def predict(self, frames: Any, lengths: Any = None) -> BagPrediction:
        """Return the prediction for a list of bags [T_i, D]."""


Load = Callable[[Path], Model]
"""Makes a model from a checkpoint. Callers pass it, because the package that can do so imports this one."""


def load_scored(run: Run, store: Store, load: Load) -> Model:
    """Return the model that the run's scores belong to.

    Raises:
        ValueError: its checkpoint is missing, cannot be read, or has other classes than the store.
    """
    path = run.directory.scored_checkpoint()
    model = load(path)
    if tuple(model.class_names) != store.description.class_names:
        raise InputError(f"{path} has other classes than {store.path}")
    return model


def clip_pictures(
    model: Model, store: Store, rows: Mapping[int, str], audio_url: str | None = None
) -> list[ClipPicture]:
    """Return pictures of clips of a store, with the predictions of a model and with the labels.

    Args:
        model: predicts f, F and, if it has a measure, p.
        store: the frames and labels.
        rows: indices of the clips, and for each a note to show beside its id.
        audio_url: pattern of the addresses of the clips, see `Listening`.
    """
    heard = listening_of(store, audio_url)
    columns, info = store.columns, store.description
    bags = [np.asarray(store.frames[columns.offsets[i] : columns.offsets[i + 1]]) for i in rows]
    if not bags:
        return []
    predicted = model.predict(bags)
    pictures = []
    for n, (i, note) in enumerate(rows.items()):
        T, start = len(bags[n]), float(columns.start_seconds[i])
        video_id = bytes(columns.video_id[i]).decode(errors="replace")
        pictures.append(
            clip_picture(
                f"{video_id} - {note}" if note else video_id,
                info.class_names,
                predicted.clip[n].numpy(),
                predicted.frame[n, :T].numpy(),
                None if predicted.measure is None else predicted.measure[n, :T].numpy(),
                seconds=info.frame_seconds,
                start=start if np.isfinite(start) else 0.0,
                labels=columns.label_ids[columns.label_offsets[i] : columns.label_offsets[i + 1]].tolist(),
                address=heard.address(bytes(columns.video_id[i]), start, float(columns.end_seconds[i])),
            )
        )
    return pictures


def example_clips(
    system: System, labels: Labels, load: Load, classes: Mapping[int, str], audio_url: str | None = None
) -> tuple[list[ClipPicture], list[ClipPicture]]:
    """Return up to three clips in which a class was found, and the three with the largest loss.

    The clip of a class is the one with the highest F, if the class is `recognised` in it.

    Args:
        system: its first seed is used.
        labels: opens the eval set.
        load: makes a model from a checkpoint.
        classes: index and name of the classes to choose from.
        audio_url: pattern of the addresses of the clips, see `Listening`.

    Raises:
        ValueError: the store, the predictions or the checkpoint is missing.
    """
    run = system.runs[0]
    store = labels.scored(run)
    model = load_scored(run, store, load)
    probability, positive = predictions(run, store, averaged=False), store.labels.dense()
    return (
        clip_pictures(model, store, _found(probability, positive, classes), audio_url),
        clip_pictures(model, store, _most_wrong(probability, positive), audio_url),
    )


def _found(probability: NDArray[np.float32], positive: NDArray[np.bool_], classes: Mapping[int, str]) -> dict[int, str]:
    found = {k: positive[:, k] & recognised(probability, k) for k in classes}
    present = [k for k in classes if found[k].any()]
    spaced = np.linspace(0, len(present) - 1, min(_EACH, len(present))).round().astype(int)
    chosen = dict.fromkeys(present[n] for n in spaced)
    return {highest(probability[:, k], found[k], 1)[0]: f"found: {cut(classes[k])}" for k in chosen}


def _most_wrong(probability: NDArray[np.float32], positive: NDArray[np.bool_]) -> dict[int, str]:
    loss = clip_loss(probability, positive)
    return {i: f"loss {loss[i]:.4f}" for i in highest(loss, np.ones(len(loss), bool), _EACH)}
