"""A checkpoint to an export folder, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from audiobag.errors import UserError
from audiobag.export.card import card
from audiobag.export.evidence import find_store, gather
from audiobag.export.graph import write_onnx, write_torch_export
from audiobag.export.tagger import load
from audiobag.files import whole_folder
from audiobag.values import check_choice, check_path, check_whole

_GRAPHS = {"onnx": ("model.onnx", write_onnx), "torch_export": ("model.pt2", write_torch_export)}
FORMATS = ("safetensors", *_GRAPHS)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: with everything.
        files: what lies in it.
        difference: the largest between the graph and PyTorch, where there is a graph.
    """

    folder: Path
    files: tuple[str, ...]
    difference: float | None


def export(config: Mapping[str, Any]) -> Exported:
    """Write weights, config.json, class_names.json, a model card and, if asked for, a graph.

    Args:
        config: `checkpoint`, `format`, `out`, `store`, `replicates` and `allow` of conf/export.yaml.

    Raises:
        UserError: no such format, `out` exists, no checkpoint, or a model without such a graph.
    """
    for name in ("checkpoint", "out"):
        check_path(name, config[name])
    check_path("store", config["store"], optional=True)
    check_whole("replicates", config["replicates"], 0, " (no bootstrap over clips)")
    kind, out, path = config["format"], Path(config["out"]), Path(config["checkpoint"])
    check_choice("format", kind, FORMATS)
    if out.exists():
        raise UserError(f"{out} exists, and exports overwrite nothing: choose another out, or remove it")
    tagger = load(path, allow=config["allow"])
    training = tagger.description.training
    if path.is_dir():
        raise UserError(f"{path} is an export already: give a checkpoint, RUN/checkpoints/NAME.ckpt")
    store = find_store(path, training["config"], Path(config["store"]) if config["store"] else None)
    with whole_folder(out) as folder:
        difference = None
        if kind in _GRAPHS:
            if store is None:
                raise UserError(
                    f"format={kind} is checked on real clips, and the eval set of {path} was not found: give store="
                )
            name, write = _GRAPHS[kind]
            difference = write(tagger, folder / name, store)
        with Progress(transient=True) as progress:
            task = progress.add_task("intervals", total=config["replicates"])
            evidence = gather(path, training, store, config["replicates"], lambda: progress.advance(task))
        tagger.card = card(tagger.description, evidence, name=out.name, format=kind, difference=difference)
        tagger.write(folder)
        files = tuple(sorted(p.name for p in folder.iterdir()))
    return Exported(out, files, difference)
