"""The page that plays a recording and shows what is heard: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import io
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from matplotlib import colormaps
from matplotlib.image import imsave

from audiobag.listening.played import Played
from audiobag.pictures.browser import rounded
from audiobag.utils.times import duration

if TYPE_CHECKING:
    from audiobag.listening.listened import Listened


def page(listened: Listened, played: Played, count: int, threshold: float, median: int) -> str:
    """Return the page.

    Args:
        listened: what is heard.
        played: the recording.
        count: number of classes.
        threshold: of the segments.
        median: of the segments.

    Raises:
        ValueError: an argument is out of range.
    """
    classes, f, p = listened.shown(count)
    found = listened.segments(threshold, median)
    names = [listened.class_names[k] for k in classes]
    data: dict[str, Any] = {
        "seconds": played.seconds,
        "frameSeconds": listened.frame_seconds,
        "names": names,
        "f": rounded(f, 3),
        "p": None if p is None else rounded(p, 3),
        "F": rounded(listened.clip[:, classes].max(0)),
        "segments": [[round(a, 3), round(b, 3), name, round(F, 4)] for a, b, name, F in found],
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        name=listened.file.name,
        lasting=duration(played.seconds),
        classes=len(listened.class_names),
        encoder=listened.encoder,
        threshold=threshold,
        sound="data:audio/mpeg;base64," + base64.b64encode(played.mp3).decode(),
        spectrogram="data:image/png;base64," + base64.b64encode(_image(played.spectrogram)).decode(),
        data=data,
    )


def _image(spectrogram: np.ndarray) -> bytes:
    """Return a spectrogram as a PNG file, a pixel for each number."""
    low, high = np.percentile(spectrogram, [5, 99.5])
    buffer = io.BytesIO()
    shades = np.clip((spectrogram[::-1] - low) / max(high - low, 1e-6), 0, 1)
    imsave(buffer, colormaps["magma"](shades, bytes=True), format="png")
    return buffer.getvalue()
