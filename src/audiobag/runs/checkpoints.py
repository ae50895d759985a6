"""Checkpoint files: what they say about their model, and which one a run continues from.

Beside Lightning's own entries a checkpoint has the entry `audiobag`: its format, the resolved configuration, and the
width, dequantisation and classes of the data it was trained on, and its encoder where the stores record one. The file
alone therefore tells how to build the model and which stores it can score. It holds tensors and plain containers only,
and is read with `weights_only=True`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiobag.data.encoders import other_encoder
from audiobag.data.store import Store
from audiobag.model import BagClassifier
from audiobag.runs.configuration import SCHEMA, config_hash, upgraded
from audiobag.runs.directory import RunDirectory
from audiobag.runs.safe_instantiate import restore_model
from audiobag.utils.errors import InputError

_LOG = logging.getLogger(__name__)
FORMAT = 1
_MOST_VALUES = 1_000_000


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        ValueError: the file is missing, damaged, or not a checkpoint of audiobag.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: give a run's folder, or a file such as RUN/checkpoints/best.ckpt")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        metadata = content["audiobag"]
        found = metadata["format"]
        if found == FORMAT:
            config = upgraded(_plain(metadata["config"]), int(metadata.get("schema", 1)))
            kind: dict[str, Any] = {
                "class_names": [str(name) for name in metadata["class_names"]],
                "dim": int(metadata["dim"]),
                "scale": float(metadata["scale"]),
                "offset": float(metadata["offset"]),
            }
            if "encoder" in metadata:
                kind["encoder"] = _plain(metadata["encoder"])
                kind["encoder"]["name"] = str(kind["encoder"]["name"])
            content = {**content, "global_step": int(content["global_step"])}
            content["state_dict"].items()
    except Exception as error:  # torch raises exceptions of many kinds on a damaged file
        what = type(error).__name__
        raise InputError(f"{path} is damaged or not a checkpoint of audiobag ({what}): choose another") from error
    if found != FORMAT:
        raise InputError(f"{path} has checkpoint format {found}, this version reads {FORMAT}: train it again")
    return {**content, "audiobag": {**metadata, **kind, "config": config}}


def model_weights(path: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of what `load_checkpoint` returned, with the names of `BagClassifier.state_dict()`.

    Raises:
        ValueError: the weights are not tensors.
    """
    weights = {k.removeprefix("model."): v for k, v in content["state_dict"].items() if k.startswith("model.")}
    if not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise InputError(f"{path} is damaged: its weights are not tensors")
    return weights


def checkpoint_model(path: Path, content: Mapping[str, Any], allow: Sequence[str] = ()) -> BagClassifier:
    """Build the model of what `load_checkpoint` returned, with its weights.

    Raises:
        ValueError: there is no model in the configuration, a class is refused, or the weights do not fit.
    """
    metadata = content["audiobag"]
    config = metadata["config"]
    if not all(isinstance(config.get(part), Mapping) for part in ("embedding", "pooling")):
        raise InputError(f"{path} was trained from Python objects: build its model again and load its state_dict")
    weights = model_weights(path, content)
    return restore_model(
        path,
        config["embedding"],
        config["pooling"],
        weights,
        dim=metadata["dim"],
        classes=len(metadata["class_names"]),
        scale=metadata["scale"],
        offset=metadata["offset"],
        allow=allow,
    )


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a configuration in plain containers.

    Raises:
        ValueError: it is not plain, contains itself, or repeats parts by reference until it is too large.
    """
    pending: list[Any] = [config]
    count = 0
    while pending:
        inner = pending.pop()
        children = inner.values() if isinstance(inner, Mapping) else inner
        count += len(children)
        if count > _MOST_VALUES:
            raise ValueError("too many values")
        pending += [child for child in children if isinstance(child, Mapping | list | tuple)]
    plain = json.loads(json.dumps(config))
    if not isinstance(plain, dict):
        raise TypeError("not a mapping")
    return plain


def newest_whole(run: RunDirectory) -> Path | None:
    """Return the newest checkpoint of a run that can be read; warn about each damaged one that is newer."""
    for path in run.resumable():
        try:
            load_checkpoint(path)
        except InputError as error:
            _LOG.warning("%s; it is left out", error)
        else:
            return path
    return None


def checkpoint_metadata(config: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """Return the entry `audiobag` of a checkpoint."""
    encoder = store.description.encoder
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "config": dict(config),
        "config_hash": config_hash(config),
        **_kind(store),
        **({} if encoder is None else {"encoder": dict(encoder)}),
    }


def check_scorable(path: Path, metadata: Mapping[str, Any], store: Store) -> None:
    """Check that a store has the frames and classes that a checkpoint was trained on, as its entry `audiobag` tells.

    Raises:
        ValueError: names the first difference.
    """
    remedy = "score it on a store like the one it was trained on"
    mine, theirs = metadata["class_names"], list(store.description.class_names)
    if len(mine) != len(theirs):
        raise InputError(f"{path} knows {len(mine)} classes, {store.path} has {len(theirs)}: {remedy}")
    for k, (a, b) in enumerate(zip(mine, theirs)):
        if a != b:
            raise InputError(f"class {k} is {a!r} in {path}, {b!r} in {store.path}: {remedy}")
    for what, value in _kind(store).items():
        if metadata[what] != value:
            raise InputError(f"frames have {what} {metadata[what]} in {path}, {value} in {store.path}: {remedy}")
    if difference := other_encoder(metadata.get("encoder"), store.description.encoder):
        raise InputError(f"frames are by other encoders in {path} and in {store.path} ({difference}): {remedy}")


def _kind(store: Store) -> dict[str, Any]:
    info = store.description
    return {"dim": store.dim, "scale": info.scale, "offset": info.offset, "class_names": list(info.class_names)}
