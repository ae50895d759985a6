"""Restoring an encoder from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiobag.data.encoders import PATHS, other_encoder
from audiobag.prepare.download import is_address
from audiobag.runs.safe_instantiate import safe_instantiate
from audiobag.sound.encoder import Encoder
from audiobag.utils.errors import InputError


def restore_encoder(record: Mapping[str, Any], folder: Path | None = None, allow: Sequence[str] = ()) -> Encoder:
    """Make the encoder that a record describes.

    Args:
        record: what `Encoder.record` returned.
        folder: folder that relative paths of weights are in, that of an export; None for the working directory.
        allow: further packages whose modules the record may name; see `audiobag.load`.

    Raises:
        ValueError: the record does not tell how to make it, or its weights are not where they were, are at an address,
            or have changed.
    """
    name, config = record["name"], record.get("config")
    if not isinstance(config, Mapping):
        raise InputError(
            f"encoder must be given, since a Python object made the embeddings ({name}), whose arguments are not"
            " recorded"
        )
    if address := next((v for k, v in config.items() if k in PATHS and is_address(str(v))), None):
        raise InputError(
            f"encoder must be given, since the record of the model's encoder has weights at {address}, and addresses in"
            f" files are not opened: add encoder={name} and the paths of its weights"
        )
    try:
        encoder = safe_instantiate(config if folder is None else _in_folder(config, folder), allow=allow)
    except InputError as error:
        raise InputError(
            f"encoder {name}, by which the model's embeddings were made, cannot be made again ({error}); give it with"
            f" encoder={name} and the paths of its weights"
        ) from error
    if not isinstance(encoder, Encoder):
        raise InputError(f"encoder must be one of audiobag.sound, got {config.get('_target_')}")
    encoder.config = dict(config)
    if difference := other_encoder(record, encoder.record()):
        raise InputError(f"encoder {name} is not the one that made the model's embeddings: {difference}")
    return encoder.eval()


def _in_folder(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    found = dict(config)
    for key in PATHS:
        value = config.get(key)
        if isinstance(value, str) and (path := folder / Path(value).name).exists():
            found[key] = str(path)
    return found
