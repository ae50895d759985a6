"""The tagging scores as torchmetrics metrics: the clips of all ranks are gathered, then ranked once."""

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
    """Collects probabilities, in fp32, and labels until `compute` ranks them.

    Args:
        **kwargs: arguments of `torchmetrics.Metric`, such as `sync_on_compute`.
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
        """Add the probabilities and labels of B clips.

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
    """All scores of a ranking of clips, per class and averaged over classes; see `tagging_scores`.

    Examples:
        >>> metric = Tagging()
        >>> metric.update(torch.tensor([[0.9, 0.3], [0.8, 0.3]]), torch.tensor([[True, False], [False, True]]))
        >>> metric.update(torch.tensor([[0.1, 0.6]]), torch.tensor([[True, False]]))
        >>> metric.compute().average_precision.tolist()
        [0.8333333333333333, 0.3333333333333333]
        >>> metric.compute().summary()["AUC"]
        0.375
    """

    def compute(self) -> TaggingScores:
        """Return the scores of the clips of all ranks."""
        return self._scores()


class _MeanOverClasses(_ClipRanking):
    """One number of `TaggingScores`, in fp32 on the metric's device; NaN if no class can be scored."""

    score: ClassVar[str]

    def compute(self) -> Float[Tensor, ""]:
        """Return the number for the clips of all ranks."""
        return torch.tensor(getattr(self._scores(), self.score), dtype=torch.float32, device=self.device)


class MeanAveragePrecision(_MeanOverClasses):
    """Mean over the classes of the average precision (mAP)."""

    score = "mAP"


class AUC(_MeanOverClasses):
    """Mean over the classes of the area under the ROC curve."""

    score = "AUC"


class DPrime(_MeanOverClasses):
    r"""$d' = \sqrt{2}\, \Phi^{-1}(\text{mean AUC})$; infinite at a mean AUC of 0 or 1."""

    score = "d_prime"


def gather_from_ranks(state: Tensor, group: Any = None) -> list[Tensor]:
    """Gather a state [n, K] from all ranks, some of which may have seen no clip.

    torchmetrics passes the state of such a rank as an empty fp32 vector, which cannot be gathered with the matrices of
    the other ranks. It is replaced by an empty matrix with their number of classes and their dtype.

    Args:
        state: state of this rank.
        group: process group; the default one if None.

    Returns:
        The states of all ranks, in the order of the ranks.
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
