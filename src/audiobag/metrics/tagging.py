"""The tagging scores as torchmetrics metrics: every clip of every rank is gathered, then ranked once."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from audiobag.metrics.functional import check_batch, tagging_scores
from audiobag.metrics.scores import TaggingScores


class _ClipRanking(Metric):
    """Keeps what it is given, fp32 probabilities and labels, until all of it is ranked.

    Args:
        **kwargs: torchmetrics' own, such as `sync_on_compute`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dist_sync_fn": gather_from_ranks, **kwargs})
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def update(self, preds: Float[Tensor, "B K"], target: Bool[Tensor, "B K"]) -> None:
        """Take the probabilities and the labels of B clips.

        Raises:
            ValueError: the shapes differ, or a score is NaN or outside [0, 1].
        """
        check_batch(preds, target)
        self.preds.append(preds.detach().float())
        self.target.append(target)

    def _scores(self) -> TaggingScores:
        if not len(self.preds):
            raise ValueError(f"{type(self).__name__} has no clips to score: call update before compute")
        return tagging_scores(dim_zero_cat(self.preds), dim_zero_cat(self.target))


class Tagging(_ClipRanking):
    """All scores of a ranking of clips, per class and over the classes.

    Example:
        >>> metric = Tagging()
        >>> metric.update(torch.tensor([[0.9, 0.3], [0.8, 0.3]]), torch.tensor([[True, False], [False, True]]))
        >>> metric.update(torch.tensor([[0.1, 0.6]]), torch.tensor([[True, False]]))
        >>> metric.compute().average_precision.tolist()
        [0.8333333333333333, 0.3333333333333333]
        >>> metric.compute().summary()["AUC"]
        0.375
    """

    def compute(self) -> TaggingScores:
        """Rank the clips of all ranks."""
        return self._scores()


class _MeanOverClasses(_ClipRanking):
    """One number of the scores, in fp32 on the metric's device; NaN where no class can be scored."""

    score: ClassVar[str]

    def compute(self) -> Float[Tensor, ""]:
        """Rank the clips of all ranks and return the number."""
        return torch.tensor(getattr(self._scores(), self.score), dtype=torch.float32, device=self.device)


class MeanAveragePrecision(_MeanOverClasses):
    """mAP: mean of the average precision over the classes."""

    score = "mAP"


class AUC(_MeanOverClasses):
    """Mean over the classes of the area under the ROC curve."""

    score = "AUC"


class DPrime(_MeanOverClasses):
    """d' = sqrt(2) Phi^-1(mean AUC); infinite at a mean AUC of 0 or 1."""

    score = "d_prime"


def gather_from_ranks(state: Tensor, group: Any = None) -> list[Tensor]:
    """Gather a state [n, K] from ranks of which some have seen no clip.

    torchmetrics hands in such a rank's state as an empty fp32 vector, which does not go together with the
    matrices of the others, nor with their dtype: it is made an empty matrix of theirs first.
    """
    kind = (state.shape[1], state.dtype) if state.ndim == 2 else None
    kinds: list[tuple[int, torch.dtype] | None] = [None] * dist.get_world_size(group)
    dist.all_gather_object(kinds, kind, group=group)
    known = [k for k in kinds if k is not None]
    if kind is None and known:
        classes, dtype = known[0]
        state = state.new_empty((0, classes), dtype=dtype)
    gathered: list[Tensor] = gather_all_tensors(state, group)
    return gathered
