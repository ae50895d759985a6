"""Export a checkpoint to a folder, which is written completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from rich.progress import Progress

from audiobag.data.encoders import other_encoder
from audiobag.data.store import Store
from audiobag.export.card import card
from audiobag.export.evidence import Evidence, find_store, gather
from audiobag.export.graph import write_onnx, write_torch_export
from audiobag.export.model_config import ModelConfig
from audiobag.export.pretrained import locate
from audiobag.export.tagger import Tagger, load
from audiobag.model import BagClassifier, Ensemble
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_writable, whole_folder
from audiobag.utils.values import check_choice, check_whole, listed

_GRAPHS = {"onnx": ("model.onnx", write_onnx), "torch_export": ("model.pt2", write_torch_export)}
FORMATS = ("safetensors", *_GRAPHS)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: the export folder.
        files: names of its files.
        difference: largest difference between the graph's predictions and PyTorch's; None without a graph.
    """

    folder: Path
    files: tuple[str, ...]
    difference: float | None


def write_export(
    checkpoint: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    format: str = "safetensors",  # noqa: A002
    store: str | Path | None = None,
    replicates: int = 100,
    half: bool = False,
    with_encoder: bool = False,
    allow: Sequence[str] = (),
) -> Exported:
    """Write weights, config.json, class_names.json, a model card and, on request, a graph.

    Args:
        checkpoint: a checkpoint, or the folder of a run for the weights that its scores belong to; several make an
            `Ensemble`, whose members have the same frames and classes.
        out: folder to write to; must not exist.
        format: "safetensors"; "onnx" or "torch_export" write a graph as well, which runs without audiobag.
        store: store on which graphs are checked and intervals are computed; None for the eval set of the checkpoint's
            run.
        replicates: bootstrap replicates for the intervals on the model card; 0 for no intervals.
        half: True to store the weights in half precision, which halves their size. A graph computes with the rounded
            weights in fp32.
        with_encoder: True to add the weights of the encoder that made the frames, so that the folder alone tags
            recordings.
        allow: further packages whose modules the checkpoint may name; see `load`.

    Raises:
        ValueError: `out` exists or cannot be written, a checkpoint cannot be read or does not fit the others, or the
            model cannot be written as such a graph.
    """
    check_choice("format", format, FORMATS)
    check_whole("replicates", replicates, 0)
    out = Path(out)
    if out.exists():
        raise InputError(f"{out} exists, and exports overwrite nothing: choose another out, or remove it")
    check_writable(out)
    paths = [locate(one) for one in listed(checkpoint)]
    if not paths:
        raise InputError("checkpoint must have at least one run or checkpoint, got none")
    tagger = _joined(paths, [_load(path, allow) for path in paths])
    if half:
        _round(tagger)
    encoder = tagger.encoder(allow) if with_encoder else None
    training = (tagger.model_config.members or [tagger.model_config])[0].training
    scored = find_store(paths[0], training["config"], Path(store) if store is not None else None)
    with whole_folder(out) as folder:
        difference = None
        if format in _GRAPHS:
            if scored is None:
                raise InputError(
                    f"format {format} is checked on clips, and the eval set of {paths[0]} was not found: give"
                    " store=PATH"
                )
            name, write = _GRAPHS[format]
            difference = write(tagger, folder / name, scored)
        tagger.card = card(
            tagger.model_config,
            _evidence(paths, training, scored, replicates),
            name=out.name,
            format=format,
            difference=difference,
            measure=tagger.has_measure,
        )
        if encoder is not None:
            record = {**(tagger.model_config.encoder or {}), "config": encoder.bundle(folder)}
            tagger.model_config = replace(tagger.model_config, encoder=record)
        tagger.write(folder, half)
        files = tuple(sorted(p.name for p in folder.iterdir()))
    return Exported(out, files, difference)


def _load(path: Path, allow: Sequence[str]) -> Tagger:
    tagger = load(path, allow=allow)
    if path.is_dir():
        raise InputError(f"{path} is an export already: give a run's folder or a checkpoint (.ckpt)")
    return tagger


def _joined(paths: Sequence[Path], taggers: Sequence[Tagger]) -> Tagger:
    """Return a single tagger unchanged, and several as an ensemble.

    Raises:
        ValueError: they have other frames or classes; names the first that differs.
    """
    if len(taggers) == 1:
        return taggers[0]
    configs = [tagger.model_config for tagger in taggers]
    for path, config in zip(paths, configs, strict=True):
        for name in ("class_names", "dim", "scale", "offset"):
            if getattr(config, name) != getattr(configs[0], name):
                raise InputError(f"{path} has other {name} than {paths[0]}: give models of the same frames and classes")
        if difference := other_encoder(config.encoder, configs[0].encoder):
            raise InputError(f"{path} has another encoder than {paths[0]} ({difference}): give models of the same one")
    models = [cast(BagClassifier, tagger.model) for tagger in taggers]
    return Tagger(Ensemble(models), ModelConfig.of_members(configs))


@torch.no_grad()
def _round(tagger: Tagger) -> None:
    """Round all weights to half precision, in place.

    Raises:
        ValueError: a weight is too large for half precision.
    """
    for name, weight in tagger.model.state_dict().items():
        if weight.is_floating_point():
            weight.copy_(weight.half())
            if not weight.isfinite().all():
                raise InputError(f"half cannot be true: {name} has a number that half precision cannot represent")


def _evidence(paths: Sequence[Path], training: Mapping[str, Any], store: Store | None, replicates: int) -> Evidence:
    if len(paths) > 1:
        why = "No scores: audiobag-evaluate with the same members scores an ensemble."
        return Evidence(missing=(why,))
    with Progress(transient=True) as progress:
        task = progress.add_task("intervals", total=replicates)
        return gather(paths[0], training, store, replicates, lambda: progress.advance(task))
