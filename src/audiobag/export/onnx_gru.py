"""The GRU embedding with ONNX's own operator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiobag.embedding import GRU


class OnnxGRU(nn.Module):
    """Computes what `GRU` computes in evaluation, with ONNX's GRU operator, which takes bag lengths as an input.

    ONNX orders the gates update, reset, new, whereas torch orders them reset, update, new. ONNX also stacks the weights
    of both directions.

    Args:
        embedding: the GRU, with its weights.
    """

    def __init__(self, embedding: GRU) -> None:
        super().__init__()
        gru = embedding.gru
        self.width, self.depth = gru.hidden_size, gru.num_layers
        self.suffixes = ["", "_reverse"] if gru.bidirectional else [""]
        for layer in range(self.depth):
            for name, kinds in {"W": ["weight_ih"], "R": ["weight_hh"], "B": ["bias_ih", "bias_hh"]}.items():
                of_directions = [
                    torch.cat([_update_first(getattr(gru, f"{kind}_l{layer}{suffix}")) for kind in kinds])
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
                "GRU",
                (h, *weights, lengths),
                attrs={"hidden_size": self.width, "linear_before_reset": 1, "direction": direction},
                dtype=torch.float32,
                shape=(h.shape[0], len(self.suffixes), h.shape[1], self.width),
            )
            h = y.permute(0, 2, 1, 3).flatten(2)
        return h.transpose(0, 1)


def _update_first(weight: Tensor) -> Tensor:
    reset, update, new = weight.detach().chunk(3)
    return torch.cat([update, reset, new])
