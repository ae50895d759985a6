"""Files with the weights of VGGish: PyTorch's, TensorFlow's variables as .npz, and the parameters of the PCA."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from audiobag.prepare.download import download, is_address
from audiobag.sound.encoder import read_tensors
from audiobag.utils.errors import InputError

# TensorFlow's scopes and the layers here.
LAYERS: Final = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3/conv3_1": "features.6",
    "conv3/conv3_2": "features.8",
    "conv4/conv4_1": "features.11",
    "conv4/conv4_2": "features.13",
    "fc1/fc1_1": "embeddings.0",
    "fc1/fc1_2": "embeddings.2",
    "fc2": "embeddings.4",
}


def read_weights(source: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Return the weights of the network, with PyTorch's names.

    Args:
        source: a .pth, .npz or .safetensors file, or its http(s) address; see `VGGish`.
        sha256: checksum that the file must have; None for any.

    Raises:
        ValueError: the file is missing, damaged, or has another checksum.
    """
    found = _tensors("weights", source, sha256)
    return _from_tensorflow(found) if any(name.startswith("vggish/") for name in found) else found


def read_pca(source: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Return `pca_eigen_vectors` [128, 128] and `pca_means` [128].

    Args:
        source: a .npz or .pth file, or its http(s) address.
        sha256: checksum that the file must have; None for any.

    Raises:
        ValueError: the file is missing, damaged, or has another checksum or content.
    """
    found = _tensors("pca", source, sha256)
    names = ("pca_eigen_vectors", "pca_means")
    if missing := [name for name in names if name not in found]:
        raise InputError(f"pca must be the parameters of VGGish's PCA, got {source}, which has no {missing[0]}")
    return {names[0]: found[names[0]].float(), names[1]: found[names[1]].float().flatten()}


def _from_tensorflow(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name, value in found.items():
        scope, _, kind = name.removeprefix("vggish/").removesuffix(":0").rpartition("/")
        if scope not in LAYERS or kind not in ("weights", "biases"):
            continue  # such as the step of the training
        if kind == "weights":
            value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T
        weights[f"{LAYERS[scope]}.{'weight' if kind == 'weights' else 'bias'}"] = value.contiguous()
    return weights


def _tensors(argument: str, source: str | Path, sha256: str | None) -> dict[str, Tensor]:
    path = _local(argument, source)
    if sha256 is not None and (found := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
        raise InputError(f"{argument}_sha256 must be the checksum of {path}, which is {found}, got {sha256}")
    return read_tensors(argument, path)


def _local(argument: str, source: str | Path) -> Path:
    """Return the file, downloading it first if it is an address."""
    if is_address(str(source)):
        return download(str(source), Path(torch.hub.get_dir()) / "audiobag", lambda here, total: None)
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"{argument} must be an existing file or an http(s) address, got {path}: audiobag has no weights of VGGish;"
            " the page 'From recordings to tags' says where they are published"
        )
    return path
