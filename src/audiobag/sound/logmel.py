"""Mean and deviation of log-mel spectra: an encoder without weights."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from audiobag.sound.encoder import Encoder
from audiobag.sound.frontend import LogMelSpectrogram
from audiobag.utils.values import check_number


class LogMel(Encoder):
    r"""Mean and standard deviation over time of each log-mel band in a window.

    $$x = (\bar L_1, \dots, \bar L_B, s_1, \dots, s_B)$$

    It has no weights, so that everything can be tried without a download. It knows nothing of sounds: expect much less
    of it than of a trained network.

    Args:
        sample_rate: samples per second.
        bands: B, number of mel bands; a vector has 2 B numbers.
        window_seconds: duration of a window.
        hop_seconds: seconds from one window to the next.
        low: lowest frequency in Hz.
        high: highest frequency in Hz.

    Raises:
        ValueError: an argument is out of range.
    """

    name = "logmel"

    def __init__(
        self,
        sample_rate: int = 16_000,
        bands: int = 64,
        window_seconds: float = 1.0,
        hop_seconds: float = 1.0,
        low: float = 50.0,
        high: float = 8000.0,
    ) -> None:
        check_number("window_seconds", window_seconds, "[0.025, 600]")  # a spectrum or more
        config = {
            "_target_": "audiobag.sound.LogMel",
            "sample_rate": sample_rate,
            "bands": bands,
            "window_seconds": window_seconds,
            "hop_seconds": hop_seconds,
            "low": low,
            "high": high,
        }
        super().__init__(
            sample_rate=sample_rate,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            dim=2 * bands,
            config=config,
        )
        self.spectrogram = LogMelSpectrogram(sample_rate, bands, low, high)

    def forward(self, windows: Float[Tensor, "N S"]) -> Float[Tensor, "N D"]:
        """Return mean and deviation of the bands in each window."""
        spectra = self.spectrogram(windows)
        return torch.cat([spectra.mean(1), spectra.std(1, correction=0)], 1)
