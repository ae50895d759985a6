"""`predict`: a checkpoint and a source in, a file of predictions and pictures out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from audiobag.errors import UserError
from audiobag.export import Tagger, load
from audiobag.hardware import set_threads
from audiobag.predicting.clips import Clips, open_clips
from audiobag.predicting.hdf5 import hdf5_file
from audiobag.predicting.pictures import Choice, Pictures
from audiobag.predicting.segments import Rule
from audiobag.predicting.stream import predict_bags
from audiobag.predicting.tables import Add, Content, csv_file, json_lines, label_tracks
from audiobag.prepare.records import Clip
from audiobag.values import check_choice, check_flag, check_path, check_whole

FORMATS: Final = ("h5", "csv", "jsonl", "audacity")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written.

    Attributes:
        out: the file, or for audacity and for pictures the folder.
        clips: how many were predicted.
        pictures: how many were drawn; None where none were asked for.
        notices: what there is to mind.
    """

    out: Path
    clips: int
    pictures: int | None
    notices: tuple[str, ...]


def predict(config: Mapping[str, Any], default: Path) -> Outcome:
    """Predict all clips of a source, in bounded memory; the file is whole or not there.

    Args:
        config: of conf/predict.yaml.
        default: the folder to write to where `config` has no `out`.

    Raises:
        UserError: an option, a checkpoint or a source that cannot be, clips that do not fit the model, or an `out`
            that exists.
    """
    for name in ("force", "frames", "segments", "picture", "most_wrong"):
        check_flag(name, config[name])
    for name in ("checkpoint", "source"):
        check_path(name, config[name])
    check_path("out", config["out"], optional=True)
    kind, out = _target(config, default)
    rule = Rule(config["threshold"], config["median"])
    _check(config, kind, rule)
    choice = Choice.of(config)
    set_threads(config["threads"], devices=1)
    tagger = load(Path(config["checkpoint"]), allow=config["allow"])
    clips = open_clips(Path(config["source"]), config["on_error"])
    clips.check(tagger)
    content = Content(
        names=tagger.class_names,
        top_k=config["top_k"],
        frames=config["frames"],
        rule=rule if config["segments"] or kind == "audacity" else None,
        frame_seconds=clips.description.frame_seconds,
        times=config["times"],
        labels=clips.description.class_names == tagger.class_names,
    )
    if config["picture"]:
        pictures = Pictures(choice, content, clips)
        count = _run(tagger, clips, pictures.stream(), pictures.add, config["batch_size"])
        return Outcome(out, count, pictures.write(out), _notices(clips))
    with _writer(kind, out, content, config) as add:
        count = _run(tagger, clips, clips, add, config["batch_size"])
        if not count:
            raise UserError(f"{clips.path} holds no clip that can be read: give another source")
    return Outcome(out, count, None, _notices(clips))


def _run(tagger: Tagger, clips: Clips, stream: Iterable[Clip], add: Add, batch_size: int) -> int:
    """Predict a stream out of `clips`, and return how many clips it had."""
    console = Console(stderr=True)
    columns = TextColumn("predicting"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[clips]:,} clips")
    count = 0
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=clips.size, clips=0)
        for batch in predict_bags(tagger, stream, batch_size):
            add(batch)
            count += len(batch)
            progress.update(task, completed=clips.done, clips=count)
        progress.update(task, completed=clips.size)
    return count


def _writer(kind: str, out: Path, content: Content, config: Mapping[str, Any]) -> AbstractContextManager[Add]:
    if kind == "h5":
        return hdf5_file(out, content, Path(config["checkpoint"]), Path(config["source"]))
    return {"csv": csv_file, "jsonl": json_lines, "audacity": label_tracks}[kind](out, content)


def _target(config: Mapping[str, Any], default: Path) -> tuple[str, Path]:
    """Return the format and where to write; each follows from the other where it is not given."""
    kind, out = config["format"], config["out"]
    if kind is None:
        suffix = Path(out).suffix.removeprefix(".") if out else ""
        kind = suffix if suffix in FORMATS else "h5"
    check_choice("format", kind, FORMATS)
    folder = "pictures" if config["picture"] else "labels" if kind == "audacity" else None
    path = Path(out) if out else default / (folder or f"predictions.{kind}")
    if path.exists() and (folder or path.is_dir()):
        raise UserError(f"{path} exists, and no folder is overwritten: choose another out, or remove it")
    if path.exists() and not config["force"]:
        raise UserError(f"{path} exists: choose another out, or overwrite it with force=true")
    return kind, path


def _check(config: Mapping[str, Any], kind: str, rule: Rule) -> None:
    """Refuse options that cannot be, before anything is read."""
    rule.check()
    if config["top_k"] is not None:
        check_whole("top_k", config["top_k"], otherwise=", or null for all classes")
    check_whole("batch_size", config["batch_size"])
    check_choice("times", config["times"], ("video", "clip"))
    if config["segments"] and kind == "h5":
        raise UserError("segments=true goes with format=csv, jsonl or audacity; h5 holds arrays, take frames=true")
    if config["frames"] and (kind == "audacity" or (config["segments"] and kind == "csv")):
        raise UserError("frames=true and segments are rows of different kinds: ask for one of them, or format=jsonl")


def _notices(clips: Clips) -> tuple[str, ...]:
    bad = clips.rejected
    if not bad:
        return ()
    where = bad[0].file if bad[0].record is None else f"{bad[0].file}, record {bad[0].record}"
    return (f"{len(bad):,} bad records were left out, the first is {where}: {bad[0].finding}",)
