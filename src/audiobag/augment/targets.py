"""Augmentations that change the labels of each clip, by a teacher's predictions or an ontology."""

from __future__ import annotations

import logging
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from audiobag.augment.base import Augmentation
from audiobag.bags import Bags
from audiobag.labels import TrainingClips
from audiobag.utils.errors import InputError
from audiobag.utils.ontology import ancestors
from audiobag.utils.values import check_number

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Teacher(Protocol):
    """What `Distillation` and `LabelEnhancement` need from a teacher, such as `audiobag.runs.SavedPredictions`."""

    def probability(self, video_id: NDArray[np.character]) -> NDArray[np.floating[Any]]:
        """Return the probabilities [N, K] of some clips [N]."""


class Targets(Augmentation):
    """An augmentation that changes the labels of single clips. It is applied before others, which may mix clips."""

    before_others = True


class Distillation(Targets):
    r"""Mixes the labels with a teacher's probabilities q.

    $$\tilde y_{nk} = (1 - w) y_{nk} + w q_{nk}$$

    The teacher must not have been trained on the clips that it teaches: train it on folds (`data.fold`), and give the
    predictions of each fold's hold-out. If it was trained on the clips that the student holds out, the student learns
    their labels from it: a warning says so.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015).

    Args:
        teacher: has `probability(video_id)`, such as `audiobag.runs.SavedPredictions`.
        weight: w, in [0, 1].

    Raises:
        ValueError: `weight` is out of range.
    """

    def __init__(self, teacher: Teacher, weight: float = 0.5) -> None:
        super().__init__()
        check_number("weight", weight, "[0, 1]")
        self.teacher, self.weight = teacher, weight
        self._rows = _Rows()

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Look up the probabilities of all training clips.

        Raises:
            ValueError: the teacher does not know a clip, or has other classes.
        """
        self._rows.table = torch.from_numpy(_taught(self.teacher, clips).astype(np.float16))

    def forward(self, bags: Bags) -> Bags:
        """Return the bags with other labels."""
        return replace(bags, labels=bags.labels.float().lerp(self._rows(bags).float(), self.weight))


class LabelEnhancement(Targets):
    r"""Adds labels that annotators have missed, where a teacher is as sure of a class as it is of labelled clips.

    $$\tilde y_{nk} = \begin{cases} \max(y_{nk}, v) & q_{nk} \ge \tau_k \\ y_{nk} & \text{otherwise} \end{cases}$$

    $\tau_k$ is the mean or a quantile of the teacher's probabilities q of class k for the clips that have its label. A
    class without a labelled clip is left alone. As with `Distillation`, the teacher must not have been trained on
    these clips.

    Source: Gong, Chung and Glass, "PSLA: improving audio tagging with pretraining, sampling, labeling, and
    aggregation" (2021).

    Args:
        teacher: has `probability(video_id)`, such as `audiobag.runs.SavedPredictions`.
        quantile: in [0, 1]; None for the mean.
        value: v, the label of the classes that are added, in (0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, teacher: Teacher, quantile: float | None = None, value: float = 1.0) -> None:
        super().__init__()
        if quantile is not None:
            check_number("quantile", quantile, "[0, 1]", ", or null for the mean")
        check_number("value", value, "(0, 1]")
        self.teacher, self.quantile, self.value = teacher, quantile, value
        self._rows = _Rows()

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Find the labels to add to the training clips.

        Raises:
            ValueError: the teacher does not know a clip, or has other classes.
        """
        q, labels = _taught(self.teacher, clips), clips.labels.dense()
        threshold = np.full(labels.shape[1], np.inf)
        for k in np.flatnonzero(labels.any(0)):
            found = q[labels[:, k], k]
            threshold[k] = found.mean() if self.quantile is None else np.quantile(found, self.quantile)
        self._rows.table = torch.from_numpy((q >= threshold) & ~labels)

    def forward(self, bags: Bags) -> Bags:
        """Return the bags with more labels."""
        labels = bags.labels.float()
        return replace(bags, labels=torch.where(self._rows(bags), labels.clamp(min=self.value), labels))


class OntologyParents(Targets):
    r"""Adds to the labels of a clip the classes above them in an ontology.

    $$\tilde y_{nk} = \max_{j \in \{k\} \cup \mathrm{descendants}(k)} y_{nj}$$

    Source: Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events" (2017).

    Args:
        path: a file like AudioSet's `ontology.json`: a list of entries with `id` and `child_ids`.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path)
        self._pairs = torch.zeros(2, 0, dtype=torch.int64)  # (class, class above it)

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Read the ontology.

        Raises:
            ValueError: the file is not an ontology of the classes.
        """
        self._pairs = torch.from_numpy(ancestors(self.path, clips.mids))

    def forward(self, bags: Bags) -> Bags:
        """Return the bags with more labels."""
        self._pairs = self._pairs.to(bags.labels.device)
        labels, (own, above) = bags.labels.float(), self._pairs
        return replace(bags, labels=labels.scatter_reduce(1, above.expand(len(bags), -1), labels[:, own], "amax"))


def _taught(teacher: Teacher, clips: TrainingClips) -> NDArray[np.floating[Any]]:
    if clips.held_out:
        _LOG.warning(
            "if the teacher was trained on the hold-out's clips, as runs on other folds are, the scores of the hold-out"
            " are far too high: compare the scores of the eval set"
        )
    q = teacher.probability(clips.video_id)
    if q.shape[1] != clips.labels.classes:
        raise InputError(
            f"teacher has {q.shape[1]} classes, the training clips have {clips.labels.classes}: train it on these data"
        )
    return q


class _Rows:
    """Rows of a table [N, K] of the training clips, on the device of the batch.

    The table is not a buffer, which DDP would send to all ranks in each step and averages of weights would average.
    """

    table = torch.zeros(0, 0)

    def __call__(self, bags: Bags) -> Shaped[Tensor, "B K"]:
        self.table = self.table.to(bags.labels.device)
        return self.table.index_select(0, bags.index)
