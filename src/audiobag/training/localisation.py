"""Scores of a model's predictions for each second against strong labels, written to the folder of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning import Trainer
from numpy.typing import NDArray

from audiobag.data.store import Store
from audiobag.data.strong import StrongLabels, has_strong_labels, strong_labels
from audiobag.metrics import LocalisationScores, localisation_scores
from audiobag.metrics.localisation import LOCALISATION_OF_TEST
from audiobag.metrics.sed import EventScores, event_scores
from audiobag.runs import RunDirectory
from audiobag.runs.localisation import PAIR_SCORES, PairScores
from audiobag.training.callbacks import CollectFrames, TaggingScore
from audiobag.training.scoring import callback_of


def own_strong_labels(store: Store) -> StrongLabels | None:
    """Return the strong labels that a store has; None if it has none."""
    return strong_labels(store) if has_strong_labels(store) else None


def with_localisation(
    record: Mapping[str, Any],
    trainer: Trainer,
    store: Store,
    strong: StrongLabels | None,
    run: RunDirectory,
    psds: bool = False,
) -> dict[str, Any]:
    """Return the scores of a test with those of its seconds, and write localisation.csv and localisation.h5.

    Args:
        record: what `write_test` returned.
        trainer: it has tested, with the callback of `collect_frames` if there are strong labels.
        store: the store it scored.
        strong: strong labels of the store's clips; None to return the record as it is.
        run: where to write.
        psds: whether to compute the scores of `event_scores` too.
    """
    if strong is None:
        return dict(record)
    found = write_localisation(trainer, store, strong, run, psds)
    told = {name: found["f"][name] for name in LOCALISATION_OF_TEST}
    return {**record, "test": {**record["test"], **told}, "localisation": found}


def collect_frames(store: Store, strong: StrongLabels) -> CollectFrames:
    """Return the callback that a test needs for `write_localisation`."""
    wanted = torch.zeros(len(store), dtype=torch.bool)
    wanted[torch.from_numpy(strong.rows)] = True
    return CollectFrames(wanted)


def write_localisation(
    trainer: Trainer, store: Store, strong: StrongLabels, run: RunDirectory, psds: bool = False
) -> dict[str, Any]:
    """Write localisation.csv and localisation.h5 of a test; return its scores as metrics.json has them."""
    collected = callback_of(trainer, CollectFrames)
    if collected.frame is None:
        raise RuntimeError("the eval set was not scored")
    clip = callback_of(trainer, TaggingScore).predictions["test"][1].numpy()[strong.rows]
    measure = None if collected.measure is None else collected.measure.numpy()
    scores: dict[str, LocalisationScores] = {}
    of_events: dict[str, EventScores] = {}
    for kind, score in _kinds(clip, collected.frame.numpy(), measure, strong.truth.lengths):
        scores[kind] = localisation_scores(score, strong.truth)
        if psds and kind not in ("p", "random") and trainer.is_global_zero:
            events = zip(*(getattr(strong.events, name).tolist() for name in ("clip", "label", "start", "end")))
            of_events[kind] = event_scores(score, strong.truth.lengths, [*events], store.description.frame_seconds)
    if trainer.is_global_zero:
        columns = {f"{kind}.{name}": v for kind, found in scores.items() for name, v in found.per_class().items()}
        columns |= {f"{kind}.{name}": v for kind, found in of_events.items() for name, v in found.per_class.items()}
        run.write_localisation(store.description.class_names, columns, _pairs(store, strong, scores))
    summaries = {kind: found.summary() for kind, found in scores.items()}
    for kind, of_kind in of_events.items():
        summaries[kind] |= of_kind.summary
    return {"counts": strong.counts, **summaries}


def _pairs(store: Store, strong: StrongLabels, scores: Mapping[str, LocalisationScores]) -> PairScores:
    first = next(iter(scores.values()))  # the pairs are those of the truth, the same for all kinds
    of_pairs = {kind: {name: getattr(found, name) for name in PAIR_SCORES} for kind, found in scores.items()}
    return PairScores(store.columns.video_id[strong.rows], first.clip, first.label, first.share, of_pairs)


def _kinds(
    clip: NDArray[np.float32],
    frame: NDArray[np.float32],
    measure: NDArray[np.float32] | None,
    lengths: NDArray[np.int64],
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each kind of score with its values [F, K], one at a time, since each takes as much memory as f."""
    yield "f", frame
    if measure is not None:
        # Rounding can make a measure that is 1 at one frame a little larger.
        measure = np.minimum(measure, 1)
        yield "p", measure
        yield "fp", frame * measure
    # F at each frame, which is how a uniform measure would spread it.
    yield "F", np.repeat(clip, lengths, axis=0)
    yield "random", np.random.default_rng(0).random(frame.shape, np.float32)
