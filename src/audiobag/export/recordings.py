"""Recordings for a model: the encoder that it needs, and the clips that it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audiobag.data.encoders import other_encoder
from audiobag.prepare.labels import NO_LABELS
from audiobag.sound import Encoder, Reading
from audiobag.sound.cutting import Cut
from audiobag.sound.files import find_files
from audiobag.sound.source import Recordings
from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from audiobag.export.tagger import Tagger

CLIP_SECONDS: Final = 10.0
"""Duration of a clip where the model's record has none, that of AudioSet's clips."""


def recordings_of(
    tagger: Tagger,
    source: str | Path | Sequence[str | Path],
    *,
    encoder: Encoder | None = None,
    clip_seconds: float | None = None,
    reading: Reading | None = None,
    allow: Sequence[str] = (),
) -> Recordings:
    """Return recordings as clips for a model; see `prediction.open_recordings` for the arguments and errors."""
    files = find_files(source)
    if encoder is None:
        encoder = tagger.encoder(allow)
    elif difference := other_encoder(tagger.model_config.encoder, encoder.record()):
        raise InputError(f"encoder must be the one that the model was trained on, got another: {difference}")
    if clip_seconds is None:
        trained = (tagger.model_config.encoder or {}).get("clip_seconds")
        known = float(trained) if isinstance(trained, int | float) else CLIP_SECONDS
        clip_seconds = max(known, encoder.hop_seconds)
    cut = Cut.of(clip_seconds, None, encoder.hop_seconds, unique=False)
    splits = {file.name: "sound" for file in files}
    return Recordings(files, encoder, cut, splits, NO_LABELS, str(source), reading or Reading())
