"""A figure of a recording: its spectrogram, and which class is heard when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from audiobag.utils.plotting import cut, heat_map


def draw_recording(
    title: str,
    spectrogram: NDArray[np.floating],
    seconds: float,
    classes: Sequence[tuple[str, float]],
    frame: NDArray[np.floating],
    measure: NDArray[np.floating] | None,
    frame_seconds: float,
) -> Figure:
    """Draw a spectrogram above, and f and p of some classes below it, over one time axis.

    Args:
        title: of the recording.
        spectrogram: [bands, columns], lowest band first.
        seconds: duration of the recording.
        classes: name and probability F of each of C classes.
        frame: f [C, T].
        measure: p [C, T]; None if the model has no measure.
        frame_seconds: duration of a frame.
    """
    panels = [("frame probability f", frame, 1.0)] + ([] if measure is None else [("measure p", measure, None)])
    rows = 0.24 * len(classes) + 0.6
    heights = [1.5, *(rows for _ in panels)]
    figure = Figure(figsize=(10, 0.6 + sum(heights)), layout="constrained")
    top, *others = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    low, high = np.percentile(spectrogram, [5, 99.5])
    top.imshow(
        spectrogram,
        "magma",
        origin="lower",
        aspect="auto",
        vmin=low,
        vmax=max(high, low + 1e-6),
        extent=(0, seconds, 0, len(spectrogram)),
        interpolation="auto",
    )
    top.set_yticks([])
    top.set_ylabel("mel band", fontsize=8)
    top.set_title(cut(title, 100), fontsize=9, loc="left", fontweight="bold", parse_math=False)
    for axes, (what, values, highest) in zip(others, panels, strict=True):
        heat_map(axes, values, frame_seconds, highest)
        axes.set_title(what, fontsize=7.5, loc="left", color="#555555", pad=3)
        names = [f"{cut(name)}  {F:.2f}" for name, F in classes]
        axes.set_yticks(range(len(names)), names, fontsize=7.5, parse_math=False)
        axes.tick_params(axis="y", length=0)
    others[-1].set_xlabel("seconds", fontsize=8)
    others[-1].set_xlim(0, seconds)  # the recording may end within the last frame
    return figure
