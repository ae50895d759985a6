"""The recurrent embeddings with ONNX's own operators."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from audiobag.embedding.recurrent import Recurrent


class OnnxRecurrent(nn.Module):
    """Computes what a recurrent embedding computes in evaluation, with an operator that takes bag lengths as an input.

    ONNX orders the gates otherwise than torch, and stacks the weights of both directions.

    Attributes:
        operator: name of ONNX's operator.
        order: for each gate of ONNX, its place in torch.
        attributes: attributes of the operator.

    Args:
        embedding: the embedding, with its weights.
    """

    operator: ClassVar[str]
    order: ClassVar[tuple[int, ...]]
    attributes: ClassVar[dict[str, Any]] = {}

    def __init__(self, embedding: Recurrent) -> None:
        super().__init__()
        layers = embedding.layers
        self.width, self.depth = layers.hidden_size, layers.num_layers
        self.suffixes = ["", "_reverse"] if layers.bidirectional else [""]
        for layer in range(self.depth):
            for name, kinds in {"W": ["weight_ih"], "R": ["weight_hh"], "B": ["bias_ih", "bias_hh"]}.items():
                of_directions = [
                    torch.cat([self._ordered(getattr(layers, f"{kind}_l{layer}{suffix}")) for kind in kinds])
                    for suffix in self.suffixes
                ]
                self.register_buffer(f"{name}{layer}", torch.stack(of_directions))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return h [B, T, H], zero on padding."""
        h, lengths = x.transpose(0, 1), mask.sum(1).to(torch.int32)
        direction = "bidirectional" if len(self.suffixes) == 2 else "forward"
        for layer in range(self.depth):
            weights = (getattr(self, f"{name}{layer}") for name in "WRB")
            y = torch.onnx.ops.symbolic(
                self.operator,
                (h, *weights, lengths),
                attrs={"hidden_size": self.width, "direction": direction, **self.attributes},
                dtype=torch.float32,
                shape=(h.shape[0], len(self.suffixes), h.shape[1], self.width),
            )
            h = y.permute(0, 2, 1, 3).flatten(2)
        return h.transpose(0, 1)

    def _ordered(self, weight: Tensor) -> Tensor:
        gates = weight.detach().chunk(len(self.order))
        return torch.cat([gates[i] for i in self.order])


class OnnxGRU(OnnxRecurrent):
    """`GRU`: ONNX orders the gates update, reset, new, and torch reset, update, new."""

    operator = "GRU"
    order = (1, 0, 2)
    attributes: ClassVar[dict[str, Any]] = {"linear_before_reset": 1}


class OnnxLSTM(OnnxRecurrent):
    """`LSTM`: ONNX orders the gates input, output, forget, cell, and torch input, forget, cell, output."""

    operator = "LSTM"
    order = (0, 3, 1, 2)
