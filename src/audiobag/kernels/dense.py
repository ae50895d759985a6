"""Dense layers: Glorot initialisation, output layers that start at a prior, full precision, sizes that suit GPUs."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audiobag.utils.values import check_number

PRIOR = 0.0025  # near the frequency of a class of AudioSet; its log-odds are -6
_ALIGNED = 8  # tensor cores read rows that are multiples of 16 bytes, 8 numbers of 16 bits


class Dense(nn.Linear):
    r"""A linear layer that is about as fast on a GPU with any number of outputs as with a multiple of eight.

    $$y = W x + b$$

    A GPU falls back to slow matrix products where rows are not aligned, as with the 527 classes of AudioSet: with 1,024
    inputs, the three products of a training step take five times as long. On a GPU, W is therefore padded with rows of
    zeros, whose outputs are cut off, unless the number of inputs is not a multiple of eight either. Parameters and
    state dict are those of `torch.nn.Linear`.

    Args:
        in_features: $D_\text{in}$.
        out_features: $D_\text{out}$.
        bias: whether there is b.
    """

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch K"]:
        """Return y."""
        spare = -self.out_features % _ALIGNED
        if x.device.type != "cuda" or not spare or self.in_features % _ALIGNED:
            return super().forward(x)
        weight = nn.functional.pad(self.weight, (0, 0, 0, spare))
        bias = None if self.bias is None else nn.functional.pad(self.bias, (0, spare))
        return nn.functional.linear(x, weight, bias)[..., : self.out_features]


def dense(in_features: int, out_features: int) -> nn.Linear:
    r"""Return a linear layer, initialised as Keras does in the authors' code.

    $$y = W x + b, \qquad W_{ij} \sim U(-a, a), \quad a = \sqrt{\frac{6}{D_\text{in} + D_\text{out}}}, \quad b = 0$$

    torch's default initialisation has a third of this variance, and a network of several such layers learns slowly
    at first.

    Args:
        in_features: $D_\text{in}$.
        out_features: $D_\text{out}$.

    References:
        Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
    """
    layer = Dense(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def output_layer(in_features: int, classes: int, prior: float = PRIOR) -> nn.Linear:
    r"""Return a dense layer whose sigmoid starts near the frequency of a rare class.

    $$y = W x + b, \qquad b = \log \frac{\pi}{1 - \pi}$$

    With b = 0 a classifier of many rare classes spends its first steps learning that all classes are rare.

    Args:
        in_features: $D_\text{in}$.
        classes: K.
        prior: $\pi$, the initial probability of each class, in (0, 1).

    Raises:
        ValueError: `prior` is not in (0, 1).
    """
    check_number("prior", prior, "(0, 1)")
    layer = dense(in_features, classes)
    nn.init.constant_(layer.bias, math.log(prior / (1 - prior)))
    return layer


def full_precision(layer: nn.Linear, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch K"]:
    """Return `layer(x)` in the dtype of the layer's weights, also under autocast.

    Use it for the logits of clips: logits near -6 are multiples of 1/32 in bf16, so that many clips would tie.

    Args:
        layer: a dense layer.
        x: its input, in any precision.
    """
    x = x.to(layer.weight.dtype)
    if not torch.is_autocast_enabled(x.device.type):  # no context manager, for exporters
        return nn.functional.linear(x, layer.weight, layer.bias)
    with torch.autocast(x.device.type, enabled=False):
        return nn.functional.linear(x, layer.weight, layer.bias)
