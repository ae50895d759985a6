"""A loss that enforces the order of an ontology: a class is at most as likely as the classes above it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.labels import LearnsOfClips, TrainingClips
from audiobag.loss.bce import Labels
from audiobag.utils.errors import InputError
from audiobag.utils.ontology import ancestors
from audiobag.utils.values import check_number


class OntologyConsistency(nn.Module):
    r"""Adds to a loss a penalty for probabilities that contradict the order of an ontology.

    $$L = L_0 + \frac{w}{B |E|} \sum_{n} \sum_{(k, j) \in E} \max(F_{nk} - F_{nj}, 0)^2$$

    E are the pairs of a class k and a class j above it. The labels should agree with the ontology: use it together with
    `audiobag.augment.OntologyParents`.

    Source: Wehrmann, Cerri and Barros, "Hierarchical multi-label classification networks" (2018), who use
    only the parents for j.

    Args:
        loss: $L_0$.
        path: a file like AudioSet's `ontology.json`: a list of entries with `id` and `child_ids`.
        weight: w.

    Raises:
        ValueError: `weight` is negative.
    """

    def __init__(self, loss: nn.Module, path: str | PathLike[str], weight: float = 1.0) -> None:
        super().__init__()
        check_number("weight", weight, "[0, inf)")
        self.loss, self.path, self.weight = loss, Path(path), weight
        self._pairs = torch.zeros(2, 0, dtype=torch.int64)  # (class, class above it)

    def set_training_clips(self, clips: TrainingClips) -> None:
        """Read the ontology.

        Raises:
            ValueError: the file is not an ontology of the classes, or has none above another.
        """
        pairs = ancestors(self.path, clips.mids)
        if not pairs.size:
            raise InputError(f"path {self.path} has no class above another: use a loss without it")
        self._pairs = torch.from_numpy(pairs)
        if isinstance(self.loss, LearnsOfClips):
            self.loss.set_training_clips(clips)

    def forward(self, prediction: BagPrediction, labels: Labels, mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Return L; the second term is in fp32 under any precision."""
        if not self._pairs.numel():
            raise RuntimeError("set_training_clips must be called before the first step: it reads the ontology")
        self._pairs = self._pairs.to(labels.device)
        clip, (own, above) = prediction.clip.float(), self._pairs
        excess = (clip[:, own] - clip[:, above]).clamp(min=0)
        return self.loss(prediction, labels, mask) + self.weight * excess.square().mean()  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the arguments, for the printed form of the module."""
        return f"path={self.path}, weight={self.weight}"
