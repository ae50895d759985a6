"""A trained model in hand: load it from anything audiobag wrote, give it frames, share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.checkpoint import load_checkpoint
from audiobag.errors import UserError
from audiobag.export.description import Description
from audiobag.export.hub import HubMixin
from audiobag.files import atomic, write_text
from audiobag.model import BagClassifier
from audiobag.trust import check_size, instantiate_trusted

WEIGHTS = "model.safetensors"
_PREFIX = "model."  # of the classifier's weights in a training checkpoint


class Tagger(nn.Module, HubMixin):
    """A trained classifier that knows its classes; `audiobag.load` makes it.

    `save_pretrained`, `from_pretrained` and `push_to_hub` are huggingface_hub's; the folder they write and read is
    the one that audiobag-export writes.

    Args:
        model: the classifier, with its weights.
        description: of the model.
        card: what the folder's README.md says, in Markdown.
    """

    def __init__(self, model: BagClassifier, description: Description, card: str = "") -> None:
        super().__init__()
        self.model = model
        self.description, self.card = description, card
        self.eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names: column k of a prediction is of class_names[k]."""
        return self.description.class_names

    def forward(self, frames: Tensor, lengths: Tensor) -> BagPrediction:
        """Return the prediction for frames [B, T, D] as stored, of which lengths [B] are real."""
        mask = torch.arange(frames.shape[1], device=lengths.device) < lengths[:, None]
        prediction: BagPrediction = self.model(frames, mask)
        return prediction

    @torch.inference_mode()
    def predict(self, frames: ArrayLike | Sequence[ArrayLike], lengths: ArrayLike | None = None) -> BagPrediction:
        """Return clip [B, K], frame [B, T, K] and measure [B, T, K], on the CPU.

        All B clips are held at once: give some ten thousand at a time.

        Args:
            frames: [B, T, D] as stored (uint8 for AudioSet), of arrays or tensors; or a list of bags [T_i, D].
            lengths: [B], how many of the T frames are real; None: all of them.

        Raises:
            UserError: shapes or lengths that cannot be.

        Example:
            >>> tagger = audiobag.load("exports/attention")  # doctest: +SKIP
            >>> tagger.predict(frames, lengths).clip.shape  # doctest: +SKIP
            torch.Size([20371, 527])
        """
        padded, counts = _padded(frames, lengths)
        if padded.ndim != 3 or padded.shape[2] != self.description.dim or 0 in padded.shape:
            raise UserError(
                f"frames have the shape {list(padded.shape)}; expected [clips, frames, {self.description.dim}],"
                " or a list of bags: give one clip as frames[None]"
            )
        B, T = padded.shape[:2]
        if counts.shape != (B,) or not np.issubdtype(counts.dtype, np.integer) or counts.min() < 1 or counts.max() > T:
            raise UserError(f"lengths must be {B} whole numbers from 1 to {T}, one for each clip; found {counts}")
        device = next(self.parameters()).device
        was_training = self.training
        self.eval()
        prediction = self(torch.tensor(padded, device=device), torch.tensor(counts, dtype=torch.int64, device=device))
        self.train(was_training)
        return BagPrediction(*(x.cpu() for x in (prediction.clip, prediction.frame, prediction.measure)))

    def write(self, folder: Path) -> None:
        """Write weights, description and card into an existing folder."""
        weights = {name: x.detach().cpu().contiguous() for name, x in self.model.state_dict().items()}
        with atomic(folder / WEIGHTS) as temporary:
            temporary.write_bytes(save(weights, metadata={"format": "pt"}))  # their save_file keeps others from reading
        self.description.write(folder)
        write_text(folder / "README.md", self.card)

    def _save_pretrained(self, save_directory: Path) -> None:
        self.write(Path(save_directory))

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        allow: Sequence[str] = (),
        **model_kwargs: Any,
    ) -> Tagger:
        """Read a folder or a repository; what its config.json says to the constructor is not listened to."""
        if Path(model_id).is_dir():
            return load(model_id, allow=allow)
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            model_id,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            allow_patterns=["config.json", "class_names.json", "README.md", WEIGHTS],
        )
        return load(folder, allow=allow)


def load(path: str | Path, *, allow: Sequence[str] = ()) -> Tagger:
    """Return the model of an export folder, of whatever format, or of a training checkpoint (.ckpt).

    Nothing in the file is run: weights are read as tensors alone, and the classes that it names must be modules of
    audiobag or torch.

    Args:
        path: the folder or file.
        allow: further packages whose modules the file may name, such as your own with a pooling of yours.

    Raises:
        UserError: nothing there, something damaged, or a class that is not allowed.
    """
    path = Path(path)
    if path.is_dir():
        description = Description.read(path)
        card = path / "README.md"
        return _assembled(path, description, _weights(path / WEIGHTS), allow, card)
    if path.suffix != ".ckpt":
        raise UserError(f"no model at {path}: give the folder of an audiobag-export, or a checkpoint (.ckpt)")
    content = load_checkpoint(path)
    state = {k.removeprefix(_PREFIX): v for k, v in content["state_dict"].items() if k.startswith(_PREFIX)}
    return _assembled(path, Description.of_checkpoint(content), state, allow, None)


def predict(
    model: Tagger | str | Path,
    frames: ArrayLike | Sequence[ArrayLike],
    lengths: ArrayLike | None = None,
    *,
    allow: Sequence[str] = (),
) -> BagPrediction:
    """Return clip [B, K], frame [B, T, K] and measure [B, T, K] of a model for frames, on the CPU, in one line.

    Args:
        model: of `load`, or what it takes; a path is loaded at each call.
        frames: [B, T, D] as stored (uint8 for AudioSet), of arrays or tensors; or a list of bags [T_i, D].
        lengths: [B], how many of the T frames are real; None: all of them.
        allow: further packages whose modules the file may name, as `load` takes them.

    Raises:
        UserError: no model there, shapes or lengths that cannot be.

    Example:
        >>> audiobag.predict("exports/attention", frames, lengths).clip.shape  # doctest: +SKIP
        torch.Size([20371, 527])
    """
    tagger = model if isinstance(model, Tagger) else load(model, allow=allow)
    return tagger.predict(frames, lengths)


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is missing or damaged ({error}): export again") from error


def _assembled(
    path: Path, description: Description, state: Mapping[str, Tensor], allow: Sequence[str], card: Path | None
) -> Tagger:
    def build() -> BagClassifier:
        embedding = instantiate_trusted(description.embedding, allow=allow, in_features=description.dim)
        pooling = instantiate_trusted(
            description.pooling, allow=allow, in_features=embedding.out_features, classes=len(description.class_names)
        )
        return BagClassifier(embedding, pooling, description.scale, description.offset)

    check_size(path, build, state)
    model = build()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(f"the weights in {path} do not fit its configuration ({first[0].strip()})") from error
    return Tagger(model, description, card.read_text(encoding="utf-8") if card and card.is_file() else "")


def _padded(frames: ArrayLike | Sequence[ArrayLike], lengths: ArrayLike | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return frames in one array and the lengths as given, padding bags that come as a list."""
    if isinstance(frames, list | tuple):
        if lengths is not None:
            raise UserError("a list of bags says itself how long they are: leave lengths out")
        bags = [np.asarray(bag) for bag in frames]
        if not bags or any(bag.ndim != 2 or bag.shape[1] != bags[0].shape[1] for bag in bags):
            raise UserError(f"expected a list of bags [frames, D], found the shapes {[b.shape for b in bags]}")
        counts = np.array([len(bag) for bag in bags])
        padded = np.zeros((len(bags), counts.max(), bags[0].shape[1]), bags[0].dtype)
        for row, bag in zip(padded, bags, strict=True):
            row[: len(bag)] = bag
        return padded, counts
    whole = np.asarray(frames)
    if lengths is None:
        return whole, np.full(len(whole) if whole.ndim else 0, whole.shape[1] if whole.ndim > 1 else 0)
    return whole, np.asarray(lengths)
