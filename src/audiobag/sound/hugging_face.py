"""Audio models of Hugging Face transformers as encoders."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from audiobag.sound.encoder import Encoder, located
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, check_whole

_POOLINGS: Final = ("mean", "max", "first")
_FOLDER: Final = "transformers"


class Transformers(Encoder):
    """An audio model of Hugging Face transformers, whose tokens of a window are pooled to one vector.

    It takes AST, wav2vec 2.0, HuBERT and similar models, CLAP's audio tower and Whisper's encoder. No code of a model's
    repository is run (`trust_remote_code` stays false). Models that take inputs of one length, such as Whisper with
    30 s and AST with 10 s, are slow on short windows: they compute the padding too. Whisper's tokens of padding are
    left out.

    Args:
        model: name on the Hugging Face hub, or a folder that `save_pretrained` wrote.
        layer: hidden state, 0 for the input of the first layer to the number of layers, or negative from the last; None
            for the output of the model.
        pooling: of the tokens of a window: "mean", "max", or "first" for the first token.
        window_seconds: duration of a window.
        hop_seconds: seconds from one window to the next.
        revision: of the model on the hub, a commit or a tag; None for the newest.

    Raises:
        ValueError: transformers is not installed, the model cannot be found or read, or it is not an audio model.
    """

    name = "transformers"
    files = ("model",)

    def __init__(
        self,
        model: str | Path,
        layer: int | None = None,
        pooling: str = "mean",
        window_seconds: float = 1.0,
        hop_seconds: float = 1.0,
        revision: str | None = None,
    ) -> None:
        check_choice("pooling", pooling, _POOLINGS)
        if layer is not None:
            check_whole("layer", layer, -1000, ", or null for the output of the model")
        network, extractor = _load(str(model), revision)
        super().__init__(
            sample_rate=int(extractor.sampling_rate),
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            dim=1,
            config={
                "_target_": "audiobag.sound.Transformers",
                "model": located(model),
                "layer": layer,
                "pooling": pooling,
                "window_seconds": window_seconds,
                "hop_seconds": hop_seconds,
                "revision": revision,
            },
        )
        longest = _longest(extractor)
        if longest is not None and window_seconds > longest:
            raise InputError(
                f"window_seconds must be at most {longest:g}, all that {model} takes, got {window_seconds:g}"
            )
        self.model = network
        self.extractor = extractor
        self.layer, self.pooling = layer, pooling
        self.eval()
        with torch.inference_mode():
            try:
                self.dim = int(self(torch.zeros(1, self.window_samples)).shape[1])
            except InputError:
                raise
            except (ValueError, RuntimeError, TypeError, KeyError) as error:
                first = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise InputError(
                    f"window_seconds must be long enough for {model}, got {window_seconds:g}, on which it fails"
                    f" ({first})"
                ) from error

    def forward(self, windows: Float[Tensor, "N S"]) -> Float[Tensor, "N D"]:
        """Return the pooled tokens of each window."""
        device = windows.device
        arrays = list(windows.float().cpu().numpy())
        inputs = self.extractor(arrays, sampling_rate=self.sample_rate, return_tensors="pt").to(device)
        output = self.model(**inputs, output_hidden_states=self.layer is not None, return_dict=True)
        tokens = output.last_hidden_state if self.layer is None else self._hidden(output.hidden_states)
        if tokens.ndim == 4:  # CLAP's are a map of channels, frequencies and times
            tokens = tokens.flatten(2).transpose(1, 2)
        if padded := getattr(self.extractor, "n_samples", None):
            tokens = tokens[:, : max(1, round(tokens.shape[1] * self.window_samples / padded))]
        tokens = tokens.float()
        if self.pooling == "first":
            return tokens[:, 0]
        return tokens.amax(1) if self.pooling == "max" else tokens.mean(1)

    def _hidden(self, states: Any) -> Tensor:
        if self.layer is None or not -len(states) <= self.layer < len(states):
            raise InputError(
                f"layer must be a hidden state of the model, from 0 to {len(states) - 1}, or null for its output, got"
                f" {self.layer}"
            )
        state: Tensor = states[self.layer]
        return state

    def bundle(self, folder: Path) -> dict[str, Any] | None:
        """Write the model as `save_pretrained` does, and return the configuration that reads it from there."""
        self.model.save_pretrained(folder / _FOLDER)
        self.extractor.save_pretrained(folder / _FOLDER)
        return None if self.config is None else {**self.config, "model": _FOLDER, "revision": None}


def _longest(extractor: Any) -> float | None:
    """Return the seconds beyond which a feature extractor cuts a window; None if it does not."""
    for samples in ("n_samples", "nb_max_samples"):  # Whisper, CLAP
        if hasattr(extractor, samples):
            return float(getattr(extractor, samples) / extractor.sampling_rate)
    spectra = getattr(extractor, "max_length", None)  # AST: 10 ms from one to the next
    return None if spectra is None else spectra / 100


def _load(model: str, revision: str | None) -> tuple[Any, Any]:
    """Return the network and its feature extractor."""
    try:
        transformers: Any = import_module("transformers")
    except ImportError as error:
        raise InputError("model needs the package transformers: pip install 'audiobag[transformers]'") from error
    try:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(model, revision=revision)
        config = transformers.AutoConfig.from_pretrained(model, revision=revision)
        kind: Any = transformers.AutoModel
        if config.model_type in ("clap", "clap_audio_model"):
            kind = transformers.ClapAudioModel
        network = kind.from_pretrained(model, revision=revision).float()  # it may have been saved in half precision
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"model must be an audio model on the Hugging Face hub, or a folder that save_pretrained wrote, got {model}"
            f" ({reason.strip()}): check the name, and the network if it is on the hub"
        ) from error
    if not hasattr(extractor, "sampling_rate"):
        raise InputError(f"model must be a model of sound, got {model}, which takes {type(extractor).__name__}")
    if getattr(config, "is_encoder_decoder", False):
        network = network.get_encoder()
    return network, extractor
