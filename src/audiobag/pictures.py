"""Clips as pictures: which second carried which class. The one place where that is drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

_COLOURS = matplotlib.colormaps["viridis"]
_TRUE = "#0a6e31"
_MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Shown:
    """One clip as a picture shows it: C of its classes over T frames.

    Attributes:
        title: of the clip.
        classes: the C names.
        clip: F [C], the probability that the clip has the class.
        measure: p [C, T].
        frame: f [C, T].
        seconds: what a frame stands for.
        start: where the clip begins, in seconds.
        true: [C], which of the classes the clip has; empty where that is not known.
    """

    title: str
    classes: tuple[str, ...]
    clip: NDArray[np.floating]
    measure: NDArray[np.floating]
    frame: NDArray[np.floating]
    seconds: float
    start: float = 0.0
    true: tuple[bool, ...] = ()


def show(
    title: str,
    names: Sequence[str],
    clip: NDArray[np.floating],
    frame: NDArray[np.floating],
    measure: NDArray[np.floating],
    *,
    seconds: float,
    start: float = 0.0,
    labels: Iterable[int] | None = None,
    also: Iterable[int] = (),
    count: int = 5,
) -> Shown:
    """Return a clip with its likeliest classes and its true ones, by falling F; 40 at most.

    Args:
        title: of the clip.
        names: of the K classes.
        clip: F [K].
        frame: f [T, K].
        measure: p [T, K].
        seconds: what a frame stands for.
        start: where the clip begins, in seconds.
        labels: the classes it has; None where that is not known.
        also: classes to show whatever their F.
        count: how many of the likeliest.
    """
    order = np.argsort(-clip, kind="stable")
    true = {int(k) for k in labels or ()}
    wanted = [*map(int, also), *order[:count].tolist(), *(k for k in order.tolist() if k in true)]
    rows = sorted(dict.fromkeys(wanted[:_MOST_ROWS]), key=lambda k: (-clip[k], k))
    return Shown(
        title,
        tuple(names[k] for k in rows),
        clip[rows],
        measure[:, rows].T,
        frame[:, rows].T,
        seconds,
        start,
        () if labels is None else tuple(k in true for k in rows),
    )


def draw_clips(clips: Sequence[Shown]) -> Figure:
    """Draw f, p and f p of each clip over time, a row a clip, a line a class; F beside the names, true ones ticked."""
    rows = [len(clip.classes) for clip in clips]
    figure = Figure(figsize=(10, 0.5 + sum(0.23 * r + 0.72 for r in rows)), layout="constrained")
    grid: NDArray[Any] = figure.subplots(len(clips), 3, squeeze=False, height_ratios=[r + 1.5 for r in rows])
    for axes, clip in zip(grid, clips, strict=True):
        _draw_clip(axes, clip)
    for axes in grid[-1]:
        axes.set_xlabel("seconds", fontsize=8)
    return figure


def png(figure: Figure, dpi: int = 130) -> bytes:
    """Return a figure as the content of a PNG file; a letter that the font lacks is drawn as a box."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def heat_map(axes: Axes, values: NDArray[np.floating], seconds: float, top: float | None, start: float = 0.0) -> None:
    """Draw values [C, T] over time, a line a class, from 0 to `top`; None: to the highest of them."""
    classes, frames = values.shape
    highest = top or max(float(values.max(initial=0)), 1e-9)
    extent = (start, start + frames * seconds, classes - 0.5, -0.5)
    image = axes.imshow(values, _COLOURS, aspect="auto", vmin=0, vmax=highest, extent=extent, interpolation="auto")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, ticks=[0, highest])
    bar.ax.set_yticklabels(["0", f"{highest:.2g}" if highest < 0.01 else f"{highest:.2f}"], fontsize=6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=frames * seconds > 2, nbins=6))
    axes.tick_params(labelsize=7)


def cut(text: str, length: int = 28) -> str:
    """Return a text on one line, its end left out where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _round_top(values: NDArray[np.floating]) -> float:
    """Return the end of a scale of probabilities: pictures share few, and a faint clip still shows when."""
    return next((top for top in (0.1, 0.2, 0.5) if values.max(initial=0) <= top), 1.0)


def _draw_clip(axes: NDArray[Any], clip: Shown) -> None:
    panels = (
        ("frame probability f", clip.frame, _round_top(clip.frame)),
        ("measure p", clip.measure, None),
        ("f p, which adds up to F", clip.frame * clip.measure, None),
    )
    for panel, (what, values, top) in zip(axes, panels, strict=True):
        heat_map(panel, values, clip.seconds, top, clip.start)
        panel.set_title(
            f"\n\n{what}", fontsize=7.5, loc="left", color="#555555", pad=3
        )  # above it, the clip's own line
        panel.set_yticks(range(len(clip.classes)), [""] * len(clip.classes))
        panel.tick_params(axis="y", length=0)
    true = clip.true or (False,) * len(clip.classes)
    names = [
        f"{'✓ ' if is_true else ''}{cut(name)}  {F:.2f}"
        for name, F, is_true in zip(clip.classes, clip.clip, true, strict=True)
    ]
    # What stands in a name is text: a $ begins no formula.
    axes[0].set_yticks(range(len(names)), names, fontsize=7.5, parse_math=False)
    for label, is_true in zip(axes[0].get_yticklabels(), true, strict=True):
        label.set(color=_TRUE if is_true else "#222222", fontweight="bold" if is_true else "normal")
    title = axes[0].annotate(
        cut(clip.title, 100),
        (0.006, 1),
        (0, 15),
        xycoords=("figure fraction", "axes fraction"),
        textcoords="offset points",
        fontsize=8.5,
        fontweight="bold",
        parse_math=False,
    )
    title.set_in_layout(False)
