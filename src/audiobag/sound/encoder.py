"""The interface of all encoders, and the record by which stores, checkpoints and exports name theirs."""

from __future__ import annotations

import hashlib
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole

BUNDLE: Final = "encoder.safetensors"
"""The file with the weights of an encoder in an export."""

_UNREADABLE: Final = (
    *(OSError, ValueError, KeyError, RuntimeError, EOFError, AttributeError, TypeError),
    *(SafetensorError, zipfile.BadZipFile),
)


class Encoder(nn.Module, ABC):
    """A module from windows of a waveform to vectors, one for each window.

    Window t of a recording begins `t * hop_seconds` after its start and lasts `window_seconds`; its vector is frame t
    of the clip. At the end of a recording, silence fills the windows of which at least half lies in the recording. A
    subclass implements `forward`.

    Args:
        sample_rate: samples per second that the encoder takes.
        window_seconds: duration of a window.
        hop_seconds: seconds from the start of a window to the start of the next.
        dim: D, the numbers of a vector.
        config: `_target_` and the arguments that make the same encoder again, in plain containers; None if they are not
            plain, and the record then only describes the encoder.
        dtype: of the vectors in stores.
        scale: x * scale + offset is what a model makes of a stored number.
        offset: see `scale`.

    Raises:
        ValueError: an argument is out of range.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ()
    """The arguments that are paths of weights, which say where the weights were and not what they are."""

    def __init__(
        self,
        *,
        sample_rate: int,
        window_seconds: float,
        hop_seconds: float,
        dim: int,
        config: Mapping[str, Any] | None,
        dtype: torch.dtype = torch.float32,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        check_whole("sample_rate", sample_rate, 1000)
        sample_or_more = f"[{1 / sample_rate:g}, 600]"
        check_number("window_seconds", window_seconds, sample_or_more)
        check_number("hop_seconds", hop_seconds, sample_or_more)
        self.sample_rate = sample_rate
        self.window_seconds, self.hop_seconds = float(window_seconds), float(hop_seconds)
        self.dim, self.dtype, self.scale, self.offset = dim, dtype, scale, offset
        self.config: dict[str, Any] | None = None if config is None else dict(config)

    @abstractmethod
    def forward(self, windows: Float[Tensor, "N S"]) -> Shaped[Tensor, "N D"]:
        """Return the vectors of windows of S = `window_samples` samples from -1 to 1, mono."""

    @property
    def window_samples(self) -> int:
        """Number of samples of a window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of the vectors in stores."""
        return np.dtype(str(self.dtype).removeprefix("torch."))

    def first_sample(self, window: int) -> int:
        """Return where a window begins; the rounding does not add up over a long recording."""
        return round(window * self.hop_seconds * self.sample_rate)

    def record(self) -> dict[str, Any]:
        """Return what identifies the encoder, in plain containers.

        Returns:
            `name`; `config`; and `weights_sha256`, the checksum of its weights whatever file they came from, None for
            an encoder without weights.
        """
        return {"name": self.name, "config": self.config, "weights_sha256": weights_sha256(self)}

    def bundle(self, folder: Path) -> dict[str, Any] | None:
        """Write the weights into a folder, and return the configuration that reads them from there.

        Args:
            folder: exists.

        Returns:
            The configuration, with paths relative to the folder; None if the encoder has no configuration.
        """
        if weights := self.state_dict():
            save_file({k: x.detach().cpu().contiguous() for k, x in weights.items()}, folder / BUNDLE)
            (folder / BUNDLE).chmod(0o644)  # safetensors makes files that other users cannot read
        if self.config is None:
            return None
        paths: dict[str, str | None] = dict.fromkeys(self.files)
        if weights and self.files:
            paths[self.files[0]] = BUNDLE
        return {**self.config, **paths}


def located(path: str | Path | None) -> str | None:
    """Return where weights are, from any working directory: the absolute path of a file that is there.

    Args:
        path: a path; or an address, a name on a hub, or None, which are returned as they are.
    """
    if path is None:
        return None
    return str(Path(path).resolve()) if Path(path).exists() else str(path)


def read_tensors(argument: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .npz, .pth or .safetensors file by name; no code in the file is run.

    Args:
        argument: name of the argument that is the path, for messages.
        path: the file.

    Raises:
        ValueError: the file is missing or damaged, or has something other than tensors.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): torch.as_tensor(value) for name, value in content.items()}
    except _UNREADABLE as error:
        raise InputError(
            f"{argument} must be a .npz, .pth or .safetensors file of tensors, got {path}, which cannot be read"
            f" ({type(error).__name__}): check the file, or download it again"
        ) from error
    except Exception as error:  # what torch raises for pickles that it refuses is of many kinds
        raise InputError(
            f"{argument} must be a file of tensors alone, got {path} ({type(error).__name__}): save its state_dict, or"
            " download it again"
        ) from error


def weights_sha256(module: nn.Module) -> str | None:
    """Return the checksum of a module's weights: names, dtypes, shapes and bytes; None if it has none."""
    weights = module.state_dict()
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        weight = weight.detach().cpu().contiguous()
        # NumPy has no bf16.
        array = (weight.view(torch.int16) if weight.dtype == torch.bfloat16 else weight).numpy()
        digest.update(f"{name} {array.dtype.str} {list(array.shape)}\n".encode())
        digest.update(array.data)
    return digest.hexdigest() if weights else None
