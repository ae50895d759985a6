"""VGGish: the network that made AudioSet's features, with its front end and its post-processing."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from audiobag.sound.encoder import Encoder, located
from audiobag.sound.frontend import LogMelSpectrogram
from audiobag.sound.vggish_weights import read_pca, read_weights
from audiobag.utils.errors import InputError

_CHANNELS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0)  # 0 halves both sides
_SAMPLES = 15_600  # 96 spectra of 400 samples, 160 apart
_DIM = 128
_LIMIT = 2.0


class VGGish(Encoder):
    r"""Google's network for AudioSet: 16 kHz, 96 log-mel spectra of 64 bands, six convolutions, 128 numbers.

    With `postprocess` a vector is whitened, clipped to ±2 and cut to 8 bits, as in the released features of AudioSet:

    $$q = \lfloor (\mathrm{clip}(P (x - \mu), -2, 2) + 2) \cdot 255 / 4 \rfloor$$

    Stores of such vectors are like those of `audiobag-prepare source=features.tar.gz`, so models of AudioSet's features
    take them.

    At the end of a recording, silence fills a window of which at least half is there, as with every encoder here. The
    released code drops what fills no whole window.

    Three details differ between implementations, and a model trained on one of them does not understand the other:

    - The network ends without a ReLU, as in the code that Google released. Some PyTorch versions of it add one; PCA
      parameters do not fit such vectors. `relu` is only for comparison with what those versions wrote.
    - A window lasts 0.975 s. The released code takes one each 0.96 s, and the released features of AudioSet have one
      each second: 10 for 10 s. `hop_seconds` is 1.0 here, so that frame t is second t.
    - The 8 bits are cut, not rounded.

    Args:
        weights: file with the weights: the published PyTorch ones (.pth), TensorFlow's variables as .npz, or what an
            export holds (.safetensors); or the http(s) address of such a file.
        pca: file with `pca_eigen_vectors` and `pca_means` (.npz or .pth), or its address; None if `postprocess` is
            false or `weights` is from an export.
        postprocess: whether to whiten and quantise.
        relu: whether a ReLU ends the network; only without `postprocess`.
        hop_seconds: seconds from one window to the next.
        weights_sha256: checksum that the file of weights must have; None for any.
        pca_sha256: checksum that the file of the PCA must have; None for any.

    Raises:
        ValueError: a file is missing, is damaged, or has other weights, or arguments contradict each other.

    Source: Hershey et al., "CNN architectures for large-scale audio classification" (2017); Gemmeke et al., "Audio Set:
    an ontology and human-labeled dataset for audio events" (2017).
    """

    name = "vggish"
    files = ("weights", "pca")

    def __init__(
        self,
        weights: str | Path,
        pca: str | Path | None = None,
        postprocess: bool = True,
        relu: bool = False,
        hop_seconds: float = 1.0,
        weights_sha256: str | None = None,
        pca_sha256: str | None = None,
    ) -> None:
        if postprocess and relu:
            raise InputError("relu must be false where postprocess is true, since the PCA is of vectors without it")
        super().__init__(
            sample_rate=16_000,
            window_seconds=_SAMPLES / 16_000,
            hop_seconds=hop_seconds,
            dim=_DIM,
            config={
                "_target_": "audiobag.sound.VGGish",
                "weights": located(weights),
                "pca": located(pca),
                "postprocess": postprocess,
                "relu": relu,
                "hop_seconds": hop_seconds,
            },
            dtype=torch.uint8 if postprocess else torch.float32,
            scale=1 / 128 if postprocess else 1.0,
            offset=-1.0 if postprocess else 0.0,
        )
        self.postprocess, self.relu = postprocess, relu
        self.spectrogram = LogMelSpectrogram()
        with torch.device("meta"):  # the file's weights take the place of random ones
            self.features = _convolutions()
            self.embeddings = nn.Sequential(
                nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, _DIM)
            )
            if postprocess:
                self.register_buffer("pca_eigen_vectors", torch.empty(_DIM, _DIM))
                self.register_buffer("pca_means", torch.empty(_DIM))
        found = read_weights(weights, weights_sha256)
        if postprocess and pca is not None:
            found |= read_pca(pca, pca_sha256)
        elif postprocess and "pca_means" not in found:
            raise InputError(
                "pca must be the file of the PCA's parameters, got null: give vggish_pca_params.npz, or"
                " postprocess=false for vectors of the network itself, which models of AudioSet's features do not take"
            )
        self._fill(weights, found)

    def forward(self, windows: Float[Tensor, "N S"]) -> Shaped[Tensor, "N D"]:
        """Return the vectors of windows: uint8 with `postprocess`, else fp32."""
        x = self.network(self.spectrogram(windows))
        return self.quantised(x) if self.postprocess else x

    def network(self, spectra: Float[Tensor, "N 96 64"]) -> Float[Tensor, "N D"]:
        """Return the vectors of log-mel spectra before post-processing."""
        maps = self.features(spectra[:, None])
        # TensorFlow keeps channels last, and the weights of the next layer follow that order.
        x: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1)).float()
        return x.relu() if self.relu else x

    def quantised(self, x: Float[Tensor, "N D"]) -> UInt8[Tensor, "N D"]:
        """Return whitened vectors in 8 bits."""
        with torch.autocast(x.device.type, enabled=False):
            whitened = (x - self.get_buffer("pca_means")) @ self.get_buffer("pca_eigen_vectors").T
        return ((whitened.clamp(-_LIMIT, _LIMIT) + _LIMIT) * (255 / (2 * _LIMIT))).to(torch.uint8)

    def _fill(self, path: str | Path, found: dict[str, Tensor]) -> None:
        mine = self.state_dict()
        for name, weight in mine.items():
            if name not in found:
                raise InputError(f"weights must be those of VGGish, got {path}, which has no {name}")
            if found[name].shape != weight.shape:
                raise InputError(
                    f"weights must be those of VGGish, got {path}, whose {name} is {list(found[name].shape)}, expected"
                    f" {list(weight.shape)}"
                )
        self.load_state_dict({name: found[name].float() for name in mine}, assign=True)


def _convolutions() -> nn.Sequential:
    layers: list[nn.Module] = []
    width = 1
    for channels in _CHANNELS:
        if channels:
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
