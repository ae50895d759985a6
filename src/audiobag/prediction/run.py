"""Predict all clips of a source into a file, or draw some of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiobag.prediction.choice import Choice
from audiobag.prediction.clips import no_clip
from audiobag.prediction.hdf5 import hdf5_file
from audiobag.prediction.job import Job, SoundOptions
from audiobag.prediction.tables import STANDARD_OUTPUT, Add, csv_file, json_lines, label_tracks
from audiobag.sound import Encoder, Reading
from audiobag.sound.segments import Rule
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_writable
from audiobag.utils.values import check_choice, check_whole, listed

FORMATS: Final = ("h5", "csv", "jsonl", "audacity")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written.

    Attributes:
        out: the file; for the format "audacity" and for pictures, the folder.
        clips: number of clips that were predicted.
        pictures: number of pictures; None if none were requested.
        notices: warnings for the user.
    """

    out: Path
    clips: int
    pictures: int | None
    notices: tuple[str, ...]


def predict_to_file(
    checkpoint: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    force: bool = False,
    top_k: int | None = 5,
    frames: bool = False,
    segments: bool = False,
    threshold: float = 0.5,
    median: int = 1,
    times: str = "video",
    batch_size: int = 500,
    threads: int | None = None,
    device: str | None = None,
    on_error: str = "stop",
    allow: Sequence[str] = (),
    audio_url: str | None = None,
    encoder: Encoder | None = None,
    clip_seconds: float | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """Predict all clips of a source in bounded memory. The file is written completely or not at all.

    Args:
        checkpoint: a checkpoint, an export folder, or the folder of a run for the weights that it scored.
        source: clips, as `open_clips` takes them, or recordings, as `open_recordings` takes them.
        out: the file; for the format "audacity" a folder, which must not exist; "-" to write JSON lines to the standard
            output, batch by batch.
        format: "h5", "csv", "jsonl" or "audacity"; None to follow the suffix of `out`, "h5" for other suffixes.
        force: overwrite a file.
        top_k: number of classes per clip, most likely first; None for all. "h5" always has all.
        frames: write f and p of each frame.
        segments: write stretches of frames that show a class; see `Rule`. "audacity" always does.
        threshold: of the segments.
        median: of the segments.
        times: "video" counts seconds from the start of the clip's recording, "clip" from the start of the clip.
        batch_size: the most clips of a batch.
        threads: CPU threads; None for torch's choice.
        device: of the model and of the encoder of recordings; None for a GPU if there is one.
        on_error: "stop" at the first bad record of the source, or "skip" it.
        allow: further packages whose modules the checkpoint may name; see `audiobag.load`.
        audio_url: address of the sound of a clip, which JSON lines have, see `Listening`; None for AudioSet's videos.
        encoder: for recordings; see `open_recordings`.
        clip_seconds: for recordings; see `open_recordings`.
        reading: for recordings; see `open_recordings`. `device` replaces its device.

    Raises:
        ValueError: an argument cannot be used, `out` exists, or the clips do not fit the model.
    """
    out = Path(out)
    if out == STANDARD_OUTPUT and format not in (None, "jsonl"):
        raise InputError(f"format must be jsonl to write to the standard output, got {format}")
    format = format_of(out, format)  # noqa: A001
    check_choice("format", format, FORMATS)
    if out != STANDARD_OUTPUT:
        _check_out(out, folder=format == "audacity", force=force)
    rule = Rule(threshold, median)
    if top_k is not None:
        check_whole("top_k", top_k, otherwise=", or null for all classes")
    if segments and format == "h5":
        raise InputError("segments cannot be written to format h5: use csv, jsonl or audacity, or write frames")
    if frames and (format == "audacity" or (segments and format == "csv")):
        raise InputError(f"frames cannot be combined with segments in format {format}: choose one, or format jsonl")
    sound = SoundOptions(encoder, clip_seconds, reading)
    job = Job(checkpoint, source, times, batch_size, threads, device, on_error, allow, audio_url, sound)
    content = job.content(top_k, frames=frames, rule=rule if segments or format == "audacity" else None)
    if format == "h5":
        writer: AbstractContextManager[Add] = hdf5_file(out, content, job.checkpoint, Path(source))
    else:
        writer = {"csv": csv_file, "jsonl": json_lines, "audacity": label_tracks}[format](out, content)
    with writer as add:
        count = job.run(job.clips, add)
        if not count:
            raise no_clip(job.clips.path)
    return Outcome(out, count, None, job.notices())


def format_of(out: str | Path | None, format: str | None = None) -> str:  # noqa: A002
    """Return the format in which predictions are written: the one given, or else that of the suffix of `out`.

    Args:
        out: the file; "-" for the standard output; None if it is not chosen yet.
        format: see `predict_to_file`.
    """
    if format is not None or out is None:
        return format or "h5"
    suffix = Path(out).suffix.removeprefix(".")
    return "jsonl" if Path(out) == STANDARD_OUTPUT else suffix if suffix in FORMATS else "h5"


def predict_to_pictures(
    checkpoint: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    clips: Sequence[str] | None = None,
    class_name: str | None = None,
    most_wrong: bool = False,
    at_most: int = 6,
    top_k: int | None = 5,
    times: str = "video",
    batch_size: int = 500,
    threads: int | None = None,
    device: str | None = None,
    on_error: str = "stop",
    allow: Sequence[str] = (),
    encoder: Encoder | None = None,
    clip_seconds: float | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """Draw clips of a source: f, p and f p over time, for their most likely classes and their labels.

    Args:
        checkpoint: see `predict_to_file`.
        source: see `predict_to_file`.
        out: folder to write; must not exist.
        clips: video ids of the clips to draw; see `Choice.ids`.
        class_name: see `Choice`.
        most_wrong: see `Choice`.
        at_most: see `Choice`.
        top_k: number of classes per clip, at most 30.
        times: see `predict_to_file`.
        batch_size: see `predict_to_file`.
        threads: see `predict_to_file`.
        device: see `predict_to_file`.
        on_error: see `predict_to_file`.
        allow: see `predict_to_file`.
        encoder: see `predict_to_file`.
        clip_seconds: see `predict_to_file`.
        reading: see `predict_to_file`.

    Raises:
        ValueError: an argument cannot be used, `out` exists, the clips do not fit the model, or a clip is not found.
    """
    from audiobag.prediction.pictures import MOST_CLASSES, Pictures  # imports matplotlib

    out = Path(out)
    if out == STANDARD_OUTPUT:
        raise InputError("out must be a folder for pictures, got -")
    _check_out(out, folder=True)
    choice = Choice(None if clips is None else [str(i) for i in listed(clips)], class_name, most_wrong, at_most)
    if top_k is None or top_k > MOST_CLASSES:
        raise InputError(f"top_k must be at most {MOST_CLASSES} for pictures, got {'null' if top_k is None else top_k}")
    check_whole("top_k", top_k)
    sound = SoundOptions(encoder, clip_seconds, reading)
    job = Job(checkpoint, source, times, batch_size, threads, device, on_error, allow, None, sound)
    pictures = Pictures(choice, job.content(top_k), job.clips)
    count = job.run(pictures.stream(), pictures.add)
    return Outcome(out, count, pictures.write(out), job.notices())


def _check_out(out: Path, *, folder: bool, force: bool = False) -> None:
    if out.exists() and (folder or out.is_dir()):
        raise InputError(f"{out} exists, and folders are not overwritten: choose another out, or remove it")
    if out.exists() and not force:
        raise InputError(f"{out} exists: choose another out, or overwrite it with force=true")
    if folder:
        check_writable(out)
    else:
        check_writable(out.parent, file=out)
