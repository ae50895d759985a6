"""Export a checkpoint to a folder, which is written completely or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from audiobag.export.card import card
from audiobag.export.evidence import find_store, gather
from audiobag.export.graph import write_onnx, write_torch_export
from audiobag.export.tagger import load
from audiobag.runs import resolve_checkpoint
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_writable, whole_folder
from audiobag.utils.values import check_choice, check_whole

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
    checkpoint: str | Path,
    out: str | Path,
    *,
    format: str = "safetensors",  # noqa: A002
    store: str | Path | None = None,
    replicates: int = 100,
    allow: Sequence[str] = (),
) -> Exported:
    """Write weights, config.json, class_names.json, a model card and, on request, a graph.

    Args:
        checkpoint: a checkpoint, or the folder of a run for the weights that it scored.
        out: folder to write; must not exist.
        format: "safetensors"; "onnx" or "torch_export" write a graph as well, which runs without audiobag.
        store: store on which graphs are checked and intervals are computed; None for the eval set of the checkpoint's
            run.
        replicates: bootstrap replicates for the intervals on the model card; 0 for no intervals.
        allow: further packages whose modules the checkpoint may name; see `load`.

    Raises:
        ValueError: `out` exists or cannot be written, the checkpoint cannot be read, or the model cannot be written as
            such a graph.
    """
    check_choice("format", format, FORMATS)
    check_whole("replicates", replicates, 0)
    out = Path(out)
    if out.exists():
        raise InputError(f"{out} exists, and exports overwrite nothing: choose another out, or remove it")
    check_writable(out.parent)
    path = resolve_checkpoint(checkpoint)
    tagger = load(path, allow=allow)
    if path.is_dir():
        raise InputError(f"{path} is an export already: give a run's folder or a checkpoint (.ckpt)")
    training = tagger.model_config.training
    scored = find_store(path, training["config"], Path(store) if store is not None else None)
    with whole_folder(out) as folder:
        difference = None
        if format in _GRAPHS:
            if scored is None:
                raise InputError(
                    f"format {format} is checked on clips, and the eval set of {path} was not found: give store=PATH"
                )
            name, write = _GRAPHS[format]
            difference = write(tagger, folder / name, scored)
        with Progress(transient=True) as progress:
            task = progress.add_task("intervals", total=replicates)
            evidence = gather(path, training, scored, replicates, lambda: progress.advance(task))
        tagger.card = card(
            tagger.model_config,
            evidence,
            name=out.name,
            format=format,
            difference=difference,
            measure=tagger.has_measure,
        )
        tagger.write(folder)
        files = tuple(sorted(p.name for p in folder.iterdir()))
    return Exported(out, files, difference)
