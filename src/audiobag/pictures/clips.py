"""Figures of clips that show at which second the model finds which class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from audiobag.utils.plotting import cut, heat_map

_TRUE = "#0a6e31"
_MOST_ROWS = 40
LOWEST_MEASURE = 0.2


@dataclass(frozen=True, slots=True)
class ClipPicture:
    """Content of a picture of one clip: C of its classes over T frames.

    Attributes:
        title: of the clip.
        classes: C names.
        clip: F [C], the probability that the clip has the class.
        measure: p [C, T]; None if the model has no measure.
        frame: f [C, T].
        seconds: duration of a frame.
        start: time of the first frame in seconds.
        true: [C], True where the clip has the class; empty if its labels are unknown.
        address: where the clip can be heard; None if unknown.
    """

    title: str
    classes: tuple[str, ...]
    clip: NDArray[np.floating]
    measure: NDArray[np.floating] | None
    frame: NDArray[np.floating]
    seconds: float
    start: float = 0.0
    true: tuple[bool, ...] = ()
    address: str | None = None

    def panels(self) -> list[tuple[str, NDArray[np.floating], float]]:
        """Return title, values [C, T] and upper end of the colour scale of each panel, at least that of f.

        The measure p has a panel if there is one, and f p has one, with the scale of p, if it sums to F.
        """
        panels = [("frame probability f", self.frame, round_top(self.frame))]
        if self.measure is not None:
            top = round_top(self.measure, LOWEST_MEASURE)
            panels.append(("measure p", self.measure, top))
            if adds_up(self.clip, self.frame, self.measure):
                panels.append(("f p, which sums to F", self.frame * self.measure, top))
        return panels


def adds_up(clip: NDArray[np.floating], frame: NDArray[np.floating], measure: NDArray[np.floating]) -> bool:
    """Return whether F [C] is the sum of f p [C, T], as under an expectation."""
    return np.allclose((frame * measure).sum(1), clip, rtol=1e-3, atol=1e-5)


def clip_picture(
    title: str,
    names: Sequence[str],
    clip: NDArray[np.floating],
    frame: NDArray[np.floating],
    measure: NDArray[np.floating] | None,
    *,
    seconds: float,
    start: float = 0.0,
    labels: Iterable[int | np.integer[Any]] | None = None,
    also: Iterable[int | np.integer[Any]] = (),
    count: int = 5,
    address: str | None = None,
) -> ClipPicture:
    """Return the picture of a clip with its likeliest classes and its true classes, at most 40, sorted by F.

    Args:
        title: of the clip.
        names: K class names.
        clip: F [K].
        frame: f [T, K].
        measure: p [T, K]; None if the model has no measure.
        seconds: duration of a frame.
        start: time of the first frame in seconds.
        labels: the classes that the clip has; None if unknown.
        also: further classes to show.
        count: number of likeliest classes.
        address: where the clip can be heard; None if unknown.
    """
    order = np.argsort(-clip, kind="stable")
    true = {int(k) for k in (() if labels is None else labels)}
    wanted = [*map(int, also), *order[:count].tolist(), *(k for k in order.tolist() if k in true)]
    rows = sorted([*dict.fromkeys(wanted)][:_MOST_ROWS], key=lambda k: (-clip[k], k))
    return ClipPicture(
        title,
        tuple(names[k] for k in rows),
        clip[rows],
        None if measure is None else measure[:, rows].T,
        frame[:, rows].T,
        seconds,
        start,
        () if labels is None else tuple(k in true for k in rows),
        address,
    )


def draw_clips(clips: Sequence[ClipPicture]) -> Figure:
    """Draw the panels of each clip over time, f, p and f p where they exist: a row per clip, a line per class.

    F stands beside the name of a class. Classes that the clip has are ticked.
    """
    rows = [len(clip.classes) for clip in clips]
    columns = max(len(clip.panels()) for clip in clips)
    figure = Figure(figsize=(10, 0.5 + sum(0.23 * r + 0.72 for r in rows)), layout="constrained")
    grid: NDArray[Any] = figure.subplots(len(clips), columns, squeeze=False, height_ratios=[r + 1.5 for r in rows])
    for axes, clip in zip(grid, clips, strict=True):
        _draw_clip(axes, clip)
    for axes in grid.T:
        lowest = [panel for panel in axes if panel.get_visible()][-1]
        lowest.set_xlabel("seconds", fontsize=8)
    return figure


def round_top(values: NDArray[np.floating], lowest: float = 0.1) -> float:
    """Return the upper end of a colour scale: one of few, so that pictures compare, but low for low values.

    Args:
        values: what is drawn.
        lowest: the lowest end. That of a measure is above 1 / 10, so that a uniform one does not look like a peak.
    """
    highest = values.max(initial=0)
    return next((top for top in (0.1, 0.2, 0.5) if top >= lowest and highest <= top), 1.0)


def _draw_clip(axes: NDArray[Any], clip: ClipPicture) -> None:
    panels = clip.panels()
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    for panel, (what, values, top) in zip(axes, panels):
        heat_map(panel, values, clip.seconds, top, clip.start)
        # The empty lines leave room for the title of the clip.
        panel.set_title(f"\n\n{what}", fontsize=7.5, loc="left", color="#555555", pad=3)
        panel.set_yticks(range(len(clip.classes)), [""] * len(clip.classes))
        panel.tick_params(axis="y", length=0)
    true = clip.true or (False,) * len(clip.classes)
    names = [
        f"{'✓ ' if is_true else ''}{cut(name)}  {F:.2f}"
        for name, F, is_true in zip(clip.classes, clip.clip, true, strict=True)
    ]
    # A $ in a name does not start a formula.
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
