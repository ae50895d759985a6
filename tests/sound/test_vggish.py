"""VGGish against NumPy: front end, network and 8 bits; its files of weights; the real weights where they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import audiobag
from audiobag.export import write_export
from audiobag.prediction import predict_to_file
from audiobag.sound import VGGish, embed
from audiobag.sound.vggish_weights import LAYERS
from tests.composing import trained
from tests.oracles import sound as oracle
from tests.sound.making import noise, write


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Random weights with the published names and shapes, so small that no vector is clipped everywhere."""
    torch.manual_seed(0)
    shapes = {
        **{f"features.{n}": (out, into, 3, 3) for n, out, into in ((0, 64, 1), (3, 128, 64), (6, 256, 128))},
        **{f"features.{n}": (out, into, 3, 3) for n, out, into in ((8, 256, 256), (11, 512, 256), (13, 512, 512))},
        "embeddings.0": (4096, 12288),
        "embeddings.2": (4096, 4096),
        "embeddings.4": (128, 4096),
    }
    made = {}
    for name, shape in shapes.items():
        made[f"{name}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
        made[f"{name}.bias"] = torch.randn(shape[0]) * 0.1
    return made


@pytest.fixture(scope="module")
def pca() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.standard_normal((128, 128)))[0]
    return {
        "pca_eigen_vectors": vectors.astype(np.float32),
        "pca_means": rng.standard_normal((128, 1)).astype(np.float32),
    }


def to_tensorflow(weights: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return weights with TensorFlow's names and layouts."""
    out: dict[str, np.ndarray] = {}
    for scope, layer in LAYERS.items():
        weight = weights[f"{layer}.weight"]
        turned = weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        out[f"vggish/{scope}/weights"] = turned.contiguous().numpy()
        out[f"vggish/{scope}/biases"] = weights[f"{layer}.bias"].numpy()
    return out


@pytest.fixture(scope="module")
def paths(weights: dict[str, torch.Tensor], pca: dict[str, np.ndarray], tmp_path_factory: Any) -> dict[str, Path]:
    folder: Path = tmp_path_factory.mktemp("vggish")
    torch.save(weights, folder / "vggish.pth")
    np.savez(folder / "vggish.npz", global_step=np.array(1), **{f"{k}:0": v for k, v in to_tensorflow(weights).items()})
    np.savez(folder / "pca.npz", **pca)
    return {name: folder / name for name in ("vggish.pth", "vggish.npz", "pca.npz")}


@pytest.fixture(scope="module")
def encoder(paths: dict[str, Path]) -> VGGish:
    return VGGish(paths["vggish.pth"], paths["pca.npz"])


@torch.inference_mode()
def test_network_and_bits_are_those_of_the_definition(
    encoder: VGGish, weights: dict[str, torch.Tensor], pca: dict[str, np.ndarray]
) -> None:
    wave = noise(0.975)
    spectra = oracle.log_mel(wave.astype(np.float64))
    assert spectra.shape == (96, 64)
    variables = {name: value.astype(np.float64) for name, value in to_tensorflow(weights).items()}
    expected = oracle.vggish(spectra, variables)
    found = encoder.network(encoder.spectrogram(torch.from_numpy(wave)[None]))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    assert expected.min() < 0  # there is no ReLU at the end
    exact = oracle.quantised(expected, pca["pca_eigen_vectors"].astype(np.float64), pca["pca_means"][:, 0])
    bits = encoder(torch.from_numpy(wave)[None])[0].numpy()
    assert bits.dtype == np.uint8
    clipped = (exact == 0) | (exact == 255)
    assert 0.1 < clipped.mean() < 0.9
    sure = clipped | (np.abs(exact - np.round(exact)) > 0.02)
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(bits[sure], np.floor(exact[sure]))


def test_tensorflows_variables_are_the_same_weights(encoder: VGGish, paths: dict[str, Path]) -> None:
    other = VGGish(paths["vggish.npz"], paths["pca.npz"])
    assert other.record()["weights_sha256"] == encoder.record()["weights_sha256"]


@pytest.mark.parametrize(
    ("hop", "seconds", "padded"), [(1.0, 10.0, 0), (0.96, 10.0, 0), (0.96, 3.0, 0), (0.5, 2.0, 1), (1.0, 10.5, 1)]
)
def test_windows_are_those_of_the_released_code_and_one_that_is_half_there(
    hop: float, seconds: float, padded: int, paths: dict[str, Path], tmp_path: Path
) -> None:
    """1 + (spectra - 96) // (100 hop) examples, as `vggish_input.py` frames them, which drops the rest."""
    encoder = VGGish(paths["vggish.pth"], postprocess=False, hop_seconds=hop)
    encoder.features, encoder.embeddings = torch.nn.Sequential(), torch.nn.Sequential()  # no need to compute

    def forward(windows: torch.Tensor) -> torch.Tensor:
        return windows[:, :128]

    encoder.forward = forward  # type: ignore[method-assign]
    wave = noise(seconds)
    embed(write(tmp_path / "x.wav", wave, subtype="FLOAT"), tmp_path / "out", encoder=encoder, split="eval")
    frames = audiobag.open_store(tmp_path / "out" / "eval.h5").frames
    spectra = 1 + (len(wave) - 400) // 160
    count = 1 + (spectra - 96) // round(100 * hop) + padded
    assert len(frames) == count
    np.testing.assert_array_equal(frames, [wave[s : s + 128] for s in (round(t * hop * 16_000) for t in range(count))])


def test_relu_and_postprocess_say_what_they_do(encoder: VGGish, paths: dict[str, Path]) -> None:
    plain = VGGish(paths["vggish.pth"], postprocess=False)
    cut = VGGish(paths["vggish.pth"], postprocess=False, relu=True)
    windows = torch.from_numpy(noise(0.975))[None]
    with torch.inference_mode():
        torch.testing.assert_close(cut(windows), plain(windows).relu())
    assert (plain.dtype, plain.scale, plain.offset) == (torch.float32, 1.0, 0.0)
    assert (encoder.dtype, encoder.scale, encoder.offset) == (torch.uint8, 1 / 128, -1.0)
    with pytest.raises(ValueError, match="relu must be false where postprocess is true"):
        VGGish(paths["vggish.pth"], paths["pca.npz"], relu=True)


def test_the_tagger_of_the_package_takes_its_frames(encoder: VGGish, tmp_path: Path) -> None:
    done = predict_to_file(
        "audioset-balanced", write(tmp_path / "x.wav", noise(10)), tmp_path / "x.h5", encoder=encoder, frames=True
    )
    assert done.clips == 1


def test_an_export_holds_the_weights_and_needs_no_file(encoder: VGGish, paths: dict[str, Path], tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "in" / str(number % 2) / f"{number}.wav", noise(2.0, seed=number))
    for split in ("bal_train", "eval"):
        embed(tmp_path / "in", tmp_path / "data", encoder=encoder, labels="folders", split=split)
    moved = tmp_path / "moved.pth"
    paths["vggish.pth"].rename(moved)
    try:
        run = trained(tmp_path / "data", tmp_path / "run", "data=own").path
        write_export(run, tmp_path / "plain", replicates=0)
        with pytest.raises(
            ValueError, match=r"encoder vggish, .* cannot be made again .* encoder=vggish and the paths"
        ):
            write_export(run, tmp_path / "whole", replicates=0, with_encoder=True)
        with pytest.raises(ValueError, match=r"encoder vggish, .* cannot be made again"):
            audiobag.load(tmp_path / "plain").listen(tmp_path / "in" / "0" / "0.wav")
    finally:
        moved.rename(paths["vggish.pth"])
    write_export(run, tmp_path / "whole", replicates=0, with_encoder=True)
    config = (tmp_path / "whole" / "config.json").read_text()
    assert str(paths["vggish.pth"].parent) not in config
    paths["vggish.pth"].rename(moved)
    try:
        listened = audiobag.load(tmp_path / "whole").listen(tmp_path / "in" / "0" / "0.wav")
        audiobag.load(tmp_path / "whole").save_pretrained(tmp_path / "again")
        again = audiobag.load(tmp_path / "again").listen(tmp_path / "in" / "0" / "0.wav")
    finally:
        moved.rename(paths["vggish.pth"])
    assert listened.encoder == "vggish"
    np.testing.assert_array_equal(listened.frame, again.frame)


def test_files_of_weights_are_checked(paths: dict[str, Path], tmp_path: Path) -> None:
    pth, npz = paths["vggish.pth"], paths["pca.npz"]
    checksum = hashlib.sha256(pth.read_bytes()).hexdigest()
    assert VGGish(pth, npz, weights_sha256=checksum).dim == 128
    torch.save({"features.0.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "other.pth")
    torch.save({"features.0.weight": torch.zeros(7)}, tmp_path / "shape.pth")
    (tmp_path / "text.pth").write_text("<html>404</html>")
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    (tmp_path / "cut.pth").write_bytes(pth.read_bytes()[:1000])
    for weights, pca, options, message in (
        (tmp_path / "no.pth", npz, {}, "weights must be an existing file or an http"),
        (pth, None, {}, "pca must be the file of the PCA's parameters, got null"),
        (pth, tmp_path / "x.npz", {}, "which has no pca_eigen_vectors"),
        (tmp_path / "other.pth", npz, {}, "which has no features.0.bias"),
        (tmp_path / "shape.pth", npz, {}, r"whose features.0.weight is \[7\], expected \[64, 1, 3, 3\]"),
        (tmp_path / "text.pth", npz, {}, "weights must be a"),
        (tmp_path / "cut.pth", npz, {}, "weights must be a"),
        (pth, npz, {"weights_sha256": "0" * 64}, f"weights_sha256 must be the checksum of .*, which is {checksum}"),
    ):
        with pytest.raises(ValueError, match=message):
            VGGish(weights, pca, **options)  # type: ignore[arg-type]


@pytest.mark.skipif("AUDIOBAG_VGGISH" not in os.environ, reason="AUDIOBAG_VGGISH names no folder with the real weights")
def test_real_weights_pass_the_smoke_test_of_the_released_code() -> None:
    """AUDIOBAG_VGGISH is a folder with vggish.pth or vggish.npz, and vggish_pca_params.npz."""
    folder = Path(os.environ["AUDIOBAG_VGGISH"])
    path = next(path for path in (folder / "vggish.pth", folder / "vggish.npz") if path.is_file())
    encoder = VGGish(path, folder / "vggish_pca_params.npz", hop_seconds=0.96)
    wave = oracle.tone(1000, 3, 16_000)
    starts = (encoder.first_sample(t) for t in range(3))
    windows = torch.from_numpy(np.array([wave[s : s + encoder.window_samples] for s in starts])).float()
    with torch.inference_mode():
        x = encoder.network(encoder.spectrogram(windows))
        bits = encoder.quantised(x).float()
    np.testing.assert_allclose([x.mean(), x.std()], [0.000657, 0.343], rtol=0.1)
    np.testing.assert_allclose([bits.mean(), bits.std()], [126.0, 89.3], rtol=0.1)
