"""Clips as the browser draws them: plain values, and the script and style that pages share."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiobag.pictures.clips import ClipPicture, adds_up

FILES: Final = ("clips.js", "clips.css")


def clips_file(name: str) -> str:
    """Return the text of one of `FILES`."""
    return files("audiobag.pictures").joinpath(name).read_text(encoding="utf-8")


def clip_values(picture: ClipPicture, plays: bool) -> dict[str, Any]:
    """Return the picture of a clip for `clips.js`.

    Args:
        picture: of the clip.
        plays: its address is that of a sound, which the page plays; otherwise the page links to it.
    """
    return {
        "id": picture.title,
        "start": picture.start,
        "seconds": picture.seconds,
        "frames": picture.frame.shape[1],
        "address": picture.address,
        "sound": picture.address if plays else None,
        "names": list(picture.classes),
        "has": [bool(own) for own in picture.true],
        "truth": [],
        "runs": [prediction_values(picture.clip, picture.frame, picture.measure)],
    }


def prediction_values(
    clip: NDArray[np.floating], frame: NDArray[np.floating], measure: NDArray[np.floating] | None
) -> dict[str, Any]:
    """Return F [C], f and p [C, T] of C classes of a clip, and whether f p sums to F."""
    return {
        "F": rounded(clip),
        "f": rounded(frame),
        "p": None if measure is None else rounded(measure),
        "adds": measure is not None and adds_up(clip, frame, measure),
    }


def rounded(values: NDArray[np.floating], digits: int = 4) -> list[Any]:
    """Return an array as lists of numbers with a few digits; None for NaN."""
    if values.ndim > 1:
        return [rounded(row, digits) for row in values]
    return [round(v, digits) if math.isfinite(v) else None for v in values.tolist()]
