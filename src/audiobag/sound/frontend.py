"""Log-mel spectrograms of windows of a waveform, as VGGish defines them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_number, check_whole


class LogMelSpectrogram(nn.Module):
    r"""Magnitudes of a short-time Fourier transform, summed in triangular mel bands, on a logarithmic scale.

    $$L_{tb} = \log\Big(\sum_k M_{kb} \Big|\sum_n w_n x_{t s + n} e^{-2 \pi i k n / N}\Big| + \epsilon\Big)$$

    w is a periodic Hann window of `window_seconds`, s is `hop_seconds` in samples, and N the power of two that holds
    the window. The triangles M have equal widths on the scale 1127 ln(1 + f / 700); the lowest frequency, 0 Hz, counts
    nowhere. The signal is not padded: S samples give 1 + (S - window) // hop spectra.

    Args:
        sample_rate: samples per second.
        bands: number of mel bands.
        low: lowest frequency in Hz.
        high: highest frequency in Hz, at most half the sample rate.
        window_seconds: length of the Fourier transform.
        hop_seconds: from one transform to the next.
        log_offset: epsilon.

    Raises:
        ValueError: an argument is out of range.

    Source: Hershey et al., "CNN architectures for large-scale audio classification" (2017), and `mel_features.py` of
    the released VGGish.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        bands: int = 64,
        low: float = 125.0,
        high: float = 7500.0,
        window_seconds: float = 0.025,
        hop_seconds: float = 0.010,
        log_offset: float = 0.01,
    ) -> None:
        super().__init__()
        check_whole("sample_rate", sample_rate)
        check_whole("bands", bands)
        check_number("window_seconds", window_seconds, f"[{1 / sample_rate:g}, inf)")
        check_number("hop_seconds", hop_seconds, f"[{1 / sample_rate:g}, inf)")
        check_number("log_offset", log_offset, "(0, inf)")
        if not 0 <= low < high <= sample_rate / 2:
            raise InputError(
                f"high must be above low and at most half the sample rate, {sample_rate / 2:g} Hz, got {low:g} to"
                f" {high:g} Hz"
            )
        self.length, self.hop = round(window_seconds * sample_rate), round(hop_seconds * sample_rate)
        self.size = 2 ** int(np.ceil(np.log2(self.length)))
        self.log_offset = log_offset
        # They follow from the arguments, so they are not among the weights.
        window = torch.hann_window(self.length, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        bank = torch.from_numpy(mel_bands(self.size, sample_rate, bands, low, high))
        self.register_buffer("bank", bank, persistent=False)
        if not bool((bank.sum(0) > 0).all()):
            raise InputError(
                f"bands must be few enough that each holds a frequency of the transform of {self.size} samples, got"
                f" {bands}"
            )

    def forward(self, waveform: Float[Tensor, "N S"]) -> Float[Tensor, "N T B"]:
        """Return the log-mel spectra of waveforms."""
        window, bank = self.get_buffer("window"), self.get_buffer("bank")
        with torch.autocast(waveform.device.type, enabled=False):
            # In fp32 the rounding of a loud tone reaches other bands, where it is as large as the offset.
            pieces = waveform.double().unfold(1, self.length, self.hop) * window
            return torch.log(torch.fft.rfft(pieces, self.size).abs() @ bank + self.log_offset).float()


def mel_bands(size: int, sample_rate: int, bands: int, low: float, high: float) -> NDArray[np.float64]:
    """Return the weights [size / 2 + 1, bands] of the frequencies of a Fourier transform in mel bands."""

    def mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log(1.0 + frequency / 700.0))

    at = mel(np.linspace(0.0, sample_rate / 2, size // 2 + 1))[:, None]
    lowest, highest = mel(np.array([low, high])).tolist()
    edges = np.linspace(lowest, highest, bands + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    weights: NDArray[np.float64] = np.maximum(
        0.0, np.minimum((at - left) / (centre - left), (right - at) / (right - centre))
    )
    weights[0] = 0.0
    return weights
