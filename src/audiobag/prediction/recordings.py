"""Recordings to predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiobag.export import Tagger
from audiobag.export.recordings import recordings_of
from audiobag.prediction.clips import Clips, clips_of
from audiobag.prepare.source import Rejects
from audiobag.sound import Encoder, Reading


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
    read = recordings_of(tagger, source, encoder=encoder, clip_seconds=clip_seconds, reading=reading, allow=allow)
    return clips_of(read, Path(str(source)), Rejects(on_error))
