"""Several poolings of one embedding, fused late."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.kernels.dense import PRIOR
from audiobag.utils.errors import InputError

EPSILON = 1e-6


class Fusion(nn.Module):
    r"""The mean of the logits of several poolings, which share the embedding and are trained together.

    $$F_k(B) = \sigma \left( \frac{1}{I} \sum_{i=1}^{I} \operatorname{logit} F_{ik}(B) \right), \qquad
    f_k(x_t) = \sigma \left( \frac{1}{I} \sum_{i=1}^{I} \operatorname{logit} f_{ik}(x_t) \right)$$

    Probabilities are clipped to $[10^{-6}, 1 - 10^{-6}]$ before their logits are taken.

    The measure is the mean of the measures of those poolings that have one, or None if none has. F is not the
    expectation of f under it.

    Args:
        in_features: H.
        classes: K.
        poolings: one or more by name, each called with (in_features, classes, prior=prior); the names are in the state
            dict.
        prior: initial probability of each class, in (0, 1).

    Raises:
        ValueError: there is no pooling, or `prior` is out of range.

    References:
        Kittler et al. (1998), "On combining classifiers", for means of outputs.
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        poolings: Mapping[str, Callable[..., nn.Module]],
        prior: float = PRIOR,
    ) -> None:
        super().__init__()
        if not poolings:
            raise InputError("poolings must name at least one pooling, got none")
        self.poolings = nn.ModuleDict(
            {name: make(in_features, classes, prior=prior) for name, make in poolings.items()}
        )

    def forward(self, h: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> BagPrediction:
        """Return F, f and p."""
        parts: list[BagPrediction] = [pooling(h, mask) for pooling in self.poolings.values()]
        measures = [part.measure for part in parts if part.measure is not None]
        return BagPrediction(
            clip=_fused([part.clip for part in parts]),
            frame=_fused([part.frame for part in parts]),
            measure=torch.stack(measures).mean(0) if measures else None,
        )


def _fused(probabilities: Sequence[Tensor]) -> Tensor:
    return torch.stack([p.logit(EPSILON) for p in probabilities]).mean(0).sigmoid()
