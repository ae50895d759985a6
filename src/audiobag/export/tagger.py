"""A trained model: load it from anything audiobag wrote, predict frames, share it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from audiobag.bags import BagPrediction
from audiobag.export.frames import to_batch
from audiobag.export.hub import HubMixin
from audiobag.export.model_config import ModelConfig
from audiobag.export.pretrained import locate, shipped
from audiobag.export.recordings import recordings_of
from audiobag.listening import Listened, listen
from audiobag.model import BagClassifier, Ensemble
from audiobag.prepare.source import AUDIOSET_DIM
from audiobag.runs.checkpoints import checkpoint_model, load_checkpoint
from audiobag.runs.safe_instantiate import restore_model
from audiobag.sound import Encoder, Reading, restore_encoder
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic, write_text

WEIGHTS = "model.safetensors"
ENCODER_FILES = ("encoder.safetensors", "transformers/*")
"""What `Encoder.bundle` writes."""


class Tagger(nn.Module, HubMixin):
    """A trained classifier with the names of its classes. `audiobag.load` returns one.

    `save_pretrained`, `from_pretrained` and `push_to_hub` come from huggingface_hub. They write and read the same
    folder as audiobag-export.

    Args:
        model: the classifier or the ensemble, with its weights.
        model_config: configuration of the model.
        card: content of the folder's README.md, in Markdown.
    """

    def __init__(self, model: BagClassifier | Ensemble, model_config: ModelConfig, card: str = "") -> None:
        super().__init__()
        self.model = model
        self.model_config, self.card = model_config, card
        self.folder: Path | None = None
        self.eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names: column k of a prediction belongs to class_names[k]."""
        return self.model_config.class_names

    @property
    def has_measure(self) -> bool:
        """Whether predictions have a measure; otherwise it is None."""
        return self.predict(np.zeros((1, 1, self.model_config.dim), np.float32)).measure is not None

    def forward(self, frames: Tensor, lengths: Tensor) -> BagPrediction:
        """Return the prediction for frames [B, T, D] as stored; the first lengths [B] of the T frames are real."""
        mask = torch.arange(frames.shape[1], device=lengths.device) < lengths[:, None]
        prediction: BagPrediction = self.model(frames, mask)
        return prediction

    @torch.inference_mode()
    def predict(self, frames: ArrayLike | Sequence[ArrayLike], lengths: ArrayLike | None = None) -> BagPrediction:
        r"""Return the clip probability $F$, the frame probability $f$ and the measure $p$ of each class.

        With an `Expectation`,

        $$F_k(B) = \sum_t p_k(x_t) f_k(x_t)$$

        All B clips are in memory at once, so pass at most some ten thousand at a time.

        Args:
            frames: [B, T, D] as stored (uint8 for AudioSet), an array or a tensor; or a list of bags [T_i, D].
            lengths: [B], how many of the T frames are real; None for all of them. Omit it when you pass a list.

        Returns:
            `clip` [B, K], `frame` [B, T, K] and `measure` [B, T, K], on the CPU. The measure is None if the pooling has
            none.

        Raises:
            ValueError: the shapes or lengths do not fit.
        """
        padded, counts = to_batch(frames, lengths, self.model_config.dim)
        device = next(self.parameters()).device
        was_training = self.training
        self.eval()
        prediction = self(torch.tensor(padded, device=device), torch.tensor(counts, device=device))
        self.train(was_training)
        p = prediction.measure
        return BagPrediction(prediction.clip.cpu(), prediction.frame.cpu(), None if p is None else p.cpu())

    def encoder(self, allow: Sequence[str] = ()) -> Encoder:
        """Make the encoder that made the frames which the model was trained on.

        Args:
            allow: further packages whose modules the record may name; see `load`.

        Raises:
            ValueError: the model has no record of it, or its weights are not there.
        """
        record = self.model_config.encoder
        if record is None:
            of_audioset = " such as vggish for AudioSet's features" if self.model_config.dim == AUDIOSET_DIM else ""
            raise InputError(
                "encoder must be given for recordings, since the model has no record of the encoder that made its"
                f" {self.model_config.dim} numbers a frame: add encoder=...{of_audioset}"
            )
        return restore_encoder(record, self.folder, allow)

    def listen(
        self,
        recording: str | Path,
        *,
        encoder: Encoder | None = None,
        clip_seconds: float | None = None,
        reading: Reading | None = None,
        allow: Sequence[str] = (),
    ) -> Listened:
        """Return what the model hears in a recording of any length, which a notebook shows as a picture.

        Args:
            recording: a sound file.
            encoder: the encoder; None for that of the model's record.
            clip_seconds: duration of the clips that it is cut into; None for that of the clips that the model was
                trained on, or else 10 s.
            reading: how to read and encode; None for `audiobag.sound.Reading(pad_short=True)`.
            allow: further packages whose modules the record may name; see `load`.

        Raises:
            ValueError: the file is bad, or the encoder cannot be made or is another than the model's.

        Examples:
            >>> audiobag.load("exported").listen("street.wav").segments()  # doctest: +SKIP
            [(3.0, 5.0, 'Bell', 0.97)]
        """
        reading = Reading(pad_short=True) if reading is None else reading
        recordings = recordings_of(
            self, recording, encoder=encoder, clip_seconds=clip_seconds, reading=reading, allow=allow
        )
        if len(recordings.files) != 1:
            raise InputError(f"recording must be one sound file, got {recording} with {len(recordings.files)}")
        self.model_config.check_frames(recording, recordings.dim, recordings.description)
        return listen(recordings, recordings.files[0], self.class_names, self.predict)

    def write(self, folder: Path, half: bool = False) -> None:
        """Write weights, configuration and card into an existing folder, and the encoder if the export had it.

        Args:
            folder: the folder.
            half: True to store the weights in half precision. A loaded model computes in fp32 all the same.
        """
        weights = {name: x.detach().cpu().contiguous() for name, x in self.model.state_dict().items()}
        if half:
            weights = {name: x.half() if x.is_floating_point() else x for name, x in weights.items()}
        with atomic(folder / WEIGHTS) as temporary:
            # safetensors' save_file makes the file unreadable for other users.
            temporary.write_bytes(save(weights, metadata={"format": "pt"}))
        self.model_config.write(folder)
        if self.folder is not None:
            _copy_encoder(self.folder, folder)
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
        """Read a folder or a repository. The arguments that its config.json gives for the constructor are ignored."""
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
            allow_patterns=["config.json", "class_names.json", "README.md", WEIGHTS, *ENCODER_FILES],
        )
        return load(folder, allow=allow)


def load(path: str | Path, *, allow: Sequence[str] = ()) -> Tagger:
    """Return the model of a run, a checkpoint or an export, or a tagger that is shipped in the package.

    No code in the file is run: weights are read as tensors, and the configuration may only name modules of audiobag
    and torch.

    Args:
        path: the folder of a complete run, for the weights that its scores belong to; a checkpoint (.ckpt); or an
            export folder of any format; or the name of a shipped tagger, such as "audioset-balanced".
        allow: further packages whose modules the file may name, such as your own with a pooling of yours.

    Raises:
        ValueError: there is no model, a file is damaged, or the file names a class that is not allowed.
    """
    path = locate(path)
    if path.is_dir():
        return _load_export(path, allow)
    if path.suffix != ".ckpt":
        raise InputError(
            f"no model at {path}: give a run's folder, a checkpoint (.ckpt), an export folder or the name of a tagger"
            f" in the package ({', '.join(shipped()) or 'it has none'})"
        )
    content = load_checkpoint(path)
    return Tagger(checkpoint_model(path, content, allow), ModelConfig.of_checkpoint(content))


def predict(
    model: Tagger | str | Path,
    frames: ArrayLike | Sequence[ArrayLike],
    lengths: ArrayLike | None = None,
    *,
    allow: Sequence[str] = (),
) -> BagPrediction:
    """Return a model's predictions for frames, on the CPU.

    Args:
        model: a `Tagger`, or a path that `load` takes; a path is loaded at each call.
        frames: [B, T, D] as stored (uint8 for AudioSet), an array or a tensor; or a list of bags [T_i, D].
        lengths: [B], how many of the T frames are real; None for all of them. Omit it when you pass a list.
        allow: further packages whose modules the file may name; see `load`.

    Returns:
        `clip` [B, K], `frame` [B, T, K] and `measure` [B, T, K]; the measure is None if the pooling has none.

    Raises:
        ValueError: there is no model, or the shapes or lengths do not fit.

    Examples:
        >>> audiobag.predict("exports/attention", frames, lengths).clip.shape  # doctest: +SKIP
        torch.Size([20371, 527])
    """
    tagger = model if isinstance(model, Tagger) else load(model, allow=allow)
    return tagger.predict(frames, lengths)


def _load_export(folder: Path, allow: Sequence[str]) -> Tagger:
    config = ModelConfig.read(folder)
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / WEIGHTS} is missing or damaged ({error}): export again") from error
    model: BagClassifier | Ensemble
    if config.members:
        own = _by_member(folder, weights, len(config.members))
        model = Ensemble([_restored(folder, one, w, allow) for one, w in zip(config.members, own, strict=True)])
    else:
        model = _restored(folder, config, weights, allow)
    card = folder / "README.md"
    tagger = Tagger(model, config, card.read_text(encoding="utf-8") if card.is_file() else "")
    tagger.folder = folder
    return tagger


def _copy_encoder(source: Path, target: Path) -> None:
    """Copy the files of an encoder from one export to another."""
    for path in (path for pattern in ENCODER_FILES for path in source.glob(pattern)):
        copy = target / path.relative_to(source)
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(path, copy)


def _restored(folder: Path, config: ModelConfig, weights: dict[str, Tensor], allow: Sequence[str]) -> BagClassifier:
    return restore_model(
        folder,
        config.embedding,
        config.pooling,
        weights,
        dim=config.dim,
        classes=len(config.class_names),
        scale=config.scale,
        offset=config.offset,
        allow=allow,
    )


def _by_member(folder: Path, weights: dict[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """Return the weights of each member of an ensemble, with the names that they have in the member."""
    own: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for name, weight in weights.items():
        group, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        if group != "members" or not number.isdecimal() or int(number) >= count:
            raise InputError(f"{folder}: its weights do not fit the {count} models that it describes ({name})")
        own[int(number)][inner] = weight
    return own
