"""Graphs of a model, in ONNX or in torch.export's format, which run without this package.

The inputs are frames [B, T, D] as stored and lengths [B] (int64), where B and T are dynamic. The outputs are clip
[B, K], frame [B, T, K] and, if the model has a measure, measure [B, T, K]. Frames beyond a bag's length are padding.
"""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from audiobag.data.store import Store
from audiobag.embedding import GRU, LSTM
from audiobag.export.frames import Batch
from audiobag.export.onnx_gru import OnnxGRU, OnnxLSTM
from audiobag.model import BagClassifier
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic

if TYPE_CHECKING:
    from audiobag.export.tagger import Tagger

TOLERANCE = 1e-5
NAMES = ("clip", "frame", "measure")
_CLIPS = 64


class Graph(nn.Module):
    """Maps (frames, lengths) to (clip, frame, measure), all plain tensors, or (clip, frame) without a measure."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of a `BagPrediction`."""
        prediction = self.tagger(frames, lengths)
        if prediction.measure is None:
            return prediction.clip, prediction.frame
        return prediction.clip, prediction.frame, prediction.measure


@torch.no_grad()  # the poolings' custom backward passes cannot be exported
def write_onnx(tagger: Tagger, path: Path, store: Store) -> float:
    """Write an ONNX file, run it on clips of a store, and return the largest difference to PyTorch.

    Args:
        tagger: the model.
        path: the file to write.
        store: with clips like those that the model takes.

    Raises:
        ValueError: the extra [onnx] is not installed, the model cannot be exported, or a difference exceeds 1e-5.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"format=onnx needs the extra [onnx] ({error}): pip install 'audiobag[onnx]'") from error
    exportable = copy.deepcopy(tagger)
    for module in list(exportable.modules()):
        if isinstance(module, BagClassifier) and isinstance(module.embedding, GRU):
            module.embedding = OnnxGRU(module.embedding)
        elif isinstance(module, BagClassifier) and isinstance(module.embedding, LSTM):
            module.embedding = OnnxLSTM(module.embedding)
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they warn about each node, and that torchvision is missing
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside torch
            program = torch.onnx.export(
                Graph(exportable).eval(),
                _example(store),
                dynamo=True,
                verbose=False,
                input_names=["frames", "lengths"],
                output_names=_outputs(tagger),
                dynamic_shapes=_dynamic_shapes(),
            )
    except Exception as error:  # torch raises exceptions of many kinds for code that it cannot trace
        raise _no_graph("onnx", error) from error
    assert program is not None
    with atomic(path) as temporary:
        program.save(str(temporary))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return _largest_difference(
        tagger, store, lambda frames, lengths: session.run(None, {"frames": frames, "lengths": lengths})
    )


@torch.no_grad()
def write_torch_export(tagger: Tagger, path: Path, store: Store) -> float:
    """Write torch.export's format, run it on clips of a store, and return the largest difference to the model.

    Args:
        tagger: the model.
        path: the file to write.
        store: with clips like those that the model takes.

    Raises:
        ValueError: the model cannot be exported, or a difference exceeds 1e-5.
    """
    if any(isinstance(module, nn.RNNBase) for module in tagger.modules()):
        raise InputError(
            "format torch_export cannot represent a recurrent network for bags of any length, since torch unrolls it to"
            " the length of its example: use format=onnx or format=safetensors"
        )
    try:
        program: ExportedProgram = torch.export.export(
            Graph(tagger).eval(), _example(store), dynamic_shapes=_dynamic_shapes()
        )
    except Exception as error:  # torch raises exceptions of many kinds for code that it cannot trace
        raise _no_graph("torch_export", error) from error
    # torch.export requires the suffix .pt2, which the temporary name of `atomic` lacks. The folder itself is temporary.
    torch.export.save(program, path)
    module = torch.export.load(path).module()
    return _largest_difference(
        tagger, store, lambda frames, lengths: [x.numpy() for x in module(*_tensors((frames, lengths)))]
    )


def _largest_difference(tagger: Tagger, store: Store, run: Any) -> float:
    """Compare predictions on a batch of real clips, on shortened and padded bags, and on a single clip."""
    largest = 0.0
    frames, lengths = _clips(store, _CLIPS)
    T = frames.shape[1]
    shortened = np.maximum(lengths - np.arange(len(lengths)) % T, 1)
    for batch in ((frames, lengths), (frames, shortened), (frames[:1, : lengths[0]], lengths[:1])):
        expected = tagger(*_tensors(batch))
        for name, found in zip(_outputs(tagger), run(*batch), strict=True):
            difference = float(np.abs(found - getattr(expected, name).numpy()).max())
            if not difference <= TOLERANCE:
                raise InputError(
                    f"{name} of the exported graph differs from PyTorch's by {difference:.2g} on {store.path}, which is"
                    f" more than {TOLERANCE:g}: use format=safetensors"
                )
            largest = max(largest, difference)
    return largest


def _outputs(tagger: Tagger) -> list[str]:
    return list(NAMES if tagger.has_measure else NAMES[:2])


def _dynamic_shapes() -> dict[str, dict[int, Any]]:
    B, T = Dim("B", min=1), Dim("T", min=1)
    return {"frames": {0: B, 1: T}, "lengths": {0: B}}


def _example(store: Store) -> tuple[Tensor, Tensor]:
    """Return 3 bags of 4 frames: torch would treat sizes that occur elsewhere in the model as fixed."""
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


def _no_graph(kind: str, error: Exception) -> InputError:
    first = str(error).strip().splitlines()[:1] or [""]
    return InputError(
        f"format {kind} cannot represent this model, since torch cannot trace it ({type(error).__name__}:"
        f" {first[0][:200]}): use format=safetensors"
    )
