"""A model as a graph that runs without this package: ONNX, or torch.export's own format.

Both take frames [B, T, D] as stored and lengths [B] (int64), with B and T free, and give clip [B, K], frame
[B, T, K] and measure [B, T, K]; frames from a bag's length on are padding.
"""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from audiobag.embedding import GRU
from audiobag.errors import UserError
from audiobag.files import atomic
from audiobag.store import Store

if TYPE_CHECKING:
    from audiobag.export.tagger import Tagger

TOLERANCE = 1e-5
NAMES = ("clip", "frame", "measure")
_CLIPS = 64
Batch = tuple[NDArray[Any], NDArray[np.int64]]


class Graph(nn.Module):
    """(frames, lengths) -> (clip, frame, measure), in plain tensors."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what a BagPrediction holds."""
        prediction = self.tagger(frames, lengths)
        return prediction.clip, prediction.frame, prediction.measure


class OnnxGRU(nn.Module):
    """The same numbers as `GRU` in evaluation, by ONNX's operator of that name, which takes lengths itself.

    ONNX orders the gates update, reset, new where torch has reset, update, new, and joins the directions' weights.
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


@torch.no_grad()  # poolings have a backward pass of their own, which no graph takes
def write_onnx(tagger: Tagger, path: Path, store: Store) -> float:
    """Write ONNX; return the largest difference to PyTorch that onnxruntime shows on clips of the store.

    Raises:
        UserError: the extra is missing, the model has no such graph, or its numbers differ by more than 1e-5.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"format=onnx needs the extra [onnx] ({error}): pip install 'audiobag[onnx]'") from error
    exportable = copy.deepcopy(tagger)
    if isinstance(exportable.model.embedding, GRU):
        exportable.model.embedding = OnnxGRU(exportable.model.embedding)
    for chatty in ("torch.onnx", "onnxscript", "onnx_ir"):  # of torchvision, which nothing here needs, and of each node
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own insides
            program = torch.onnx.export(
                Graph(exportable).eval(),
                _example(store),
                dynamo=True,
                verbose=False,
                input_names=["frames", "lengths"],
                output_names=list(NAMES),
                dynamic_shapes=_free(),
            )
    except Exception as error:  # torch raises anything for what it cannot trace
        raise _no_graph("onnx", error) from error
    assert program is not None
    with atomic(path) as temporary:
        program.save(str(temporary))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return _largest_difference(
        tagger, store, lambda frames, lengths: session.run(NAMES, {"frames": frames, "lengths": lengths})
    )


@torch.no_grad()
def write_torch_export(tagger: Tagger, path: Path, store: Store) -> float:
    """Write torch.export's format; return the largest difference to the model, as `write_onnx` does.

    Raises:
        UserError: the model has no such graph, or its numbers differ by more than 1e-5.
    """
    if any(isinstance(module, nn.RNNBase) for module in tagger.modules()):
        raise UserError(
            "format=torch_export cannot hold a recurrent network for bags of any length, since torch unrolls it to"
            " the length of its example: use format=onnx or format=safetensors"
        )
    try:
        program: ExportedProgram = torch.export.export(Graph(tagger).eval(), _example(store), dynamic_shapes=_free())
    except Exception as error:  # torch raises anything for what it cannot trace
        raise _no_graph("torch_export", error) from error
    # torch insists on the suffix, which an atomic file's temporary name lacks; the folder itself is temporary.
    torch.export.save(program, path)
    module = torch.export.load(path).module()
    return _largest_difference(
        tagger, store, lambda frames, lengths: [x.numpy() for x in module(*_tensors((frames, lengths)))]
    )


def _largest_difference(tagger: Tagger, store: Store, run: Any) -> float:
    """Compare on real clips: many, one, and bags that are cut short and padded."""
    largest = 0.0
    frames, lengths = _clips(store, _CLIPS)
    T = frames.shape[1]
    shortened = np.maximum(lengths - np.arange(len(lengths)) % T, 1)
    for batch in ((frames, lengths), (frames, shortened), (frames[:1, : lengths[0]], lengths[:1])):
        expected = tagger(*_tensors(batch))
        for name, found in zip(NAMES, run(*batch), strict=True):
            difference = float(np.abs(found - getattr(expected, name).numpy()).max())
            if not difference <= TOLERANCE:
                raise UserError(
                    f"the exported graph's {name} differs from PyTorch's by {difference:.2g} on {store.path}, more than"
                    f" {TOLERANCE:g}: use format=safetensors"
                )
            largest = max(largest, difference)
    return largest


def _update_first(weight: Tensor) -> Tensor:
    reset, update, new = weight.detach().chunk(3)
    return torch.cat([update, reset, new])


def _free() -> dict[str, dict[int, Any]]:
    B, T = Dim("B", min=1), Dim("T", min=1)
    return {"frames": {0: B, 1: T}, "lengths": {0: B}}


def _example(store: Store) -> tuple[Tensor, Tensor]:
    """Return a batch of 3 bags of 4 frames: sizes that nothing else has, so that torch takes none for fixed."""
    frames = np.zeros((3, 4, store.dim), store.frames.dtype)
    return _tensors((frames, np.array([4, 2, 1])))


def _clips(store: Store, count: int) -> Batch:
    """Return the first clips of a store, padded."""
    lengths = store.columns.lengths[:count]
    frames = np.zeros((len(lengths), lengths.max(), store.dim), store.frames.dtype)
    for row, start, length in zip(frames, store.columns.offsets, lengths):
        row[:length] = store.frames[start : start + length]
    return frames, lengths


def _tensors(batch: Batch) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(batch[0]), torch.from_numpy(batch[1])


def _no_graph(kind: str, error: Exception) -> UserError:
    first = str(error).strip().splitlines()[:1] or [""]
    return UserError(
        f"format={kind} cannot hold this model, since torch cannot trace it ({type(error).__name__}: {first[0][:200]}):"
        " use format=safetensors"
    )
