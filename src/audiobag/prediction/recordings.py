"""Recordings to predict: the encoder that a model needs, and the clips that it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiobag.data.encoders import other_encoder
from audiobag.export import Tagger
from audiobag.prediction.clips import Clips, clips_of
from audiobag.prepare.source import Rejects
from audiobag.sound import Encoder, Reading
from audiobag.sound.cutting import Cut
from audiobag.sound.files import find_files
from audiobag.sound.source import Recordings
from audiobag.utils.errors import InputError

CLIP_SECONDS = 10.0
"""Duration of a clip where the model's record has none, that of AudioSet's clips."""


def open_recordings(
    tagger: Tagger,
    source: str | Path | Sequence[str | Path],
    on_error: str = "stop",
    *,
    encoder: Encoder | None = None,
    clip_seconds: float | None = None,
    reading: Reading | None = None,
    allow: Sequence[str] = (),
) -> Clips:
    """Open recordings of any length as clips for a model. They are read, encoded and cut while you iterate.

    All clips of a recording have its name as their video id, and their start in it.

    Args:
        tagger: the model.
        source: sound files, as `audiobag.sound.files.find_files` takes them.
        on_error: "stop" at the first bad file, or "skip" it.
        encoder: the encoder; None for that of the model's record.
        clip_seconds: duration of a clip; None for that of the clips that the model was trained on, or else 10 s.
        reading: how to read and encode; None for `Reading()`.
        allow: further packages whose modules the record may name; see `audiobag.load`.

    Raises:
        ValueError: there is no sound, the model's record has no encoder, or `encoder` is another than the model's.
    """
    encoder = encoder_of(tagger, encoder, allow)
    trained = (tagger.model_config.encoder or {}).get("clip_seconds")
    seconds = (
        clip_seconds if clip_seconds is not None else trained if isinstance(trained, int | float) else CLIP_SECONDS
    )
    if clip_seconds is None:
        seconds = max(seconds, encoder.hop_seconds)
    cut = Cut.of(seconds, None, encoder.hop_seconds, unique=False)
    files = find_files(source)
    splits = {file.name: "sound" for file in files}
    read = Recordings(files, encoder, cut, splits, None, str(source), Reading() if reading is None else reading)
    return clips_of(read, Path(str(source)), Rejects(on_error))


def encoder_of(tagger: Tagger, encoder: Encoder | None = None, allow: Sequence[str] = ()) -> Encoder:
    """Return the encoder for recordings that a model is to tag: the given one, or that of the model's record.

    Args:
        tagger: the model.
        encoder: must be the one of the record, if there is one.
        allow: further packages whose modules the record may name.

    Raises:
        ValueError: there is none, or `encoder` is another than the model's.
    """
    if encoder is None:
        return tagger.encoder(allow)
    if difference := other_encoder(tagger.model_config.encoder, encoder.record()):
        raise InputError(f"encoder must be the one that the model was trained on, got another: {difference}")
    return encoder
