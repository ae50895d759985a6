"""Your own module as an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from audiobag.runs.safe_instantiate import safe_instantiate
from audiobag.sound.encoder import Encoder, located, read_tensors
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_whole


class OwnModule(Encoder):
    """A module of yours, from waveforms [N, S] to vectors [N, D], or to vectors of parts of a window [N, T, D].

    Vectors of parts of a window are averaged.

    Args:
        module: the module; or `_target_` and its arguments, which are recorded, so that the encoder can be made again
            from a checkpoint where the package of the module is named in `allow`.
        sample_rate: samples per second that the module takes.
        dim: D.
        window_seconds: duration of a window.
        hop_seconds: seconds from one window to the next.
        weights: file with the module's `state_dict` (.safetensors or .pth); None to take the module as it is made.

    Raises:
        ValueError: the module cannot be made, the weights do not fit it, or it returns other shapes.
    """

    name = "torch"
    files = ("weights",)

    def __init__(
        self,
        module: nn.Module | Mapping[str, Any],
        sample_rate: int,
        dim: int,
        window_seconds: float = 1.0,
        hop_seconds: float = 1.0,
        weights: str | Path | None = None,
    ) -> None:
        check_whole("dim", dim)
        config = None
        if not isinstance(module, nn.Module):
            if not isinstance(module, Mapping):
                raise InputError(f"module must be a module, or _target_ and its arguments, got {type(module).__name__}")
            plain = _plain(module)
            target = str(plain.get("_target_"))
            config = {
                "_target_": "audiobag.sound.OwnModule",
                "module": plain,
                "sample_rate": sample_rate,
                "dim": dim,
                "window_seconds": window_seconds,
                "hop_seconds": hop_seconds,
                "weights": located(weights),
            }
            try:
                made: nn.Module = safe_instantiate(plain, allow=[target.partition(".")[0]])
            except InputError as error:
                raise InputError(
                    f"module must name a subclass of torch.nn.Module that can be imported, such as mine.Net, got"
                    f" {target} ({error.__cause__ or error})"
                ) from error
        else:
            made = module
        super().__init__(
            sample_rate=sample_rate, window_seconds=window_seconds, hop_seconds=hop_seconds, dim=dim, config=config
        )
        self.module = made
        if weights is not None:
            self._load(Path(weights))

    def forward(self, windows: Float[Tensor, "N S"]) -> Float[Tensor, "N D"]:
        """Return what the module makes of each window."""
        x = self.module(windows)
        if not isinstance(x, Tensor) or x.ndim not in (2, 3) or (len(x), x.shape[-1]) != (len(windows), self.dim):
            found = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise InputError(
                f"module must return [{len(windows)}, {self.dim}] or [{len(windows)}, T, {self.dim}] for"
                f" {len(windows)} windows, got {found}"
            )
        return (x.mean(1) if x.ndim == 3 else x).float()

    def _load(self, path: Path) -> None:
        # Names in an export begin with `module.`, those in the user's file do not.
        found = {name.removeprefix("module."): x for name, x in read_tensors("weights", path).items()}
        try:
            self.module.load_state_dict(found)
        except RuntimeError as error:
            raise InputError(f"weights must be a state_dict of the module, got {path} ({error})") from error


def _plain(config: Any) -> Any:
    """Return nested mappings and lists in plain containers."""
    if isinstance(config, Mapping):
        return {str(key): _plain(value) for key, value in config.items()}
    several = isinstance(config, Sequence) and not isinstance(config, str)
    return [_plain(value) for value in config] if several else config
