"""Log-mel spectra against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiobag.sound import LogMel, LogMelSpectrogram
from tests.oracles.sound import log_mel, tone
from tests.sound.making import noise


@pytest.mark.parametrize(
    "wave", [noise(1.0), tone(1000, 1.0, 16_000), np.zeros(16_000)], ids=["noise", "tone", "silence"]
)
def test_spectra_are_those_of_the_definition(wave: np.ndarray) -> None:
    found = LogMelSpectrogram()(torch.from_numpy(wave).float()[None])[0].numpy()
    expected = log_mel(wave.astype(np.float32).astype(np.float64))
    assert found.shape == (98, 64)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_other_rates_and_bands_are_those_of_the_definition() -> None:
    wave = noise(0.5, 44_100)
    found = LogMelSpectrogram(44_100, 40, 50.0, 20_000.0)(torch.from_numpy(wave)[None])[0].numpy()
    length, hop = round(0.025 * 44_100), 441
    expected = log_mel(wave.astype(np.float64), 44_100, 40, 50.0, 20_000.0, length, hop, 2048)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_logmel_is_mean_and_deviation_of_the_spectra() -> None:
    wave = noise(1.0)
    encoder = LogMel()
    spectra = log_mel(wave.astype(np.float64), low=50.0, high=8000.0)
    expected = np.concatenate([spectra.mean(0), spectra.std(0)])
    found = encoder(torch.from_numpy(wave)[None])
    assert found.shape == (1, encoder.dim)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-4)


def test_the_front_end_computes_in_fp32_where_the_network_does_not() -> None:
    wave = torch.from_numpy(noise(1.0))[None]
    with torch.autocast("cpu", torch.bfloat16):
        found = LogMelSpectrogram()(wave)
    torch.testing.assert_close(found, LogMelSpectrogram()(wave))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bands": 0}, "bands must be"),
        ({"bands": 1000}, "bands must be few enough"),
        ({"high": 9000.0}, "high must be above low and at most half"),
        ({"sample_rate": 100}, "sample_rate must be"),
        ({"hop_seconds": 0}, "hop_seconds must be"),
        ({"hop_seconds": 1e-9}, r"hop_seconds must be a number in \[6\.25e-05, 600\], got 1e-09"),
        ({"window_seconds": 0.02}, r"window_seconds must be a number in \[0\.025, 600\], got 0\.02"),
        ({"window_seconds": 1000.0}, "window_seconds must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sample_rate", "window_seconds", "hop_seconds"])
def test_wrong_arguments_of_the_spectrogram_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        LogMelSpectrogram(**{name: 0})
