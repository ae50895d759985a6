"""The figures of a report, with their titles and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from audiobag.pictures.browser import clip_values
from audiobag.pictures.clips import draw_clips
from audiobag.pictures.forest import ForestRow, draw_forest
from audiobag.report import interactive, interactive_lines, plots, search
from audiobag.report.clip_selection import AMONG, LEAST
from audiobag.report.clips import Load, example_clips
from audiobag.report.compare import best, comparable
from audiobag.report.evidence import Evidence, Labels
from audiobag.report.localisation import draw_localisation
from audiobag.report.page import Picture
from audiobag.report.systems import System
from audiobag.utils.errors import InputError
from audiobag.utils.plotting import png, style

_MOST = 8  # lines that a figure can tell apart
_MORE = 4  # systems that a legend on a narrow screen has room for, beside the best one and the baseline
_MOST_ROWS = 40


def forest_picture(name: str, rows: Sequence[ForestRow], what: str, caption: str) -> Picture | None:
    """Return a forest plot of differences, of the first 40; None without rows.

    Args:
        name: name of the file.
        rows: best first.
        what: what the numbers are.
        caption: explains the figure.
    """
    if not rows:
        return None
    if len(rows) > _MOST_ROWS:
        caption += f" The best {_MOST_ROWS} of {len(rows)} systems."
    shown = rows[:_MOST_ROWS]
    drawn = png(draw_forest(shown, what, zero=True), dpi=200)
    return Picture(name, f"{what[0].upper()}{what[1:]}", caption, drawn, plot=interactive.forest(shown, what))


def search_pictures(systems: Sequence[System]) -> list[Picture]:
    """Return parallel coordinates and importances of a search, which exist on the page only; none for other runs."""
    if not search.is_search(systems):
        return []
    what, values = search.objective(systems)
    coordinates = search.parallel(search.columns(systems), values, what)
    title = f"Options and {what}"
    caption = f"A line for each of the {len(systems)} systems, from its options to its {what}. Blue and thick: high."
    pictures = [Picture("parallel", title, caption, None, wide=True, plot=coordinates)]
    if shares := search.importances(systems):
        caption = (
            f"Share of the variation of {what} that a random forest explains by each option (Optuna, mean decrease in"
            " impurity). It knows only the values that were tried."
        )
        bars = search.bars(shares, "importance")
        pictures.append(Picture("importance", "What matters", caption, None, plot=bars))
    return pictures


def score_pictures(
    systems: Sequence[System],
    baseline: System,
    counts: plots.Counts,
    evidence: Mapping[str, Evidence],
    chosen: Mapping[int, str],
) -> list[Picture]:
    """Return the figures of scores, as far as there is data for them.

    Args:
        systems: of the report, best first.
        baseline: the system to compare with.
        counts: number of clips of each class.
        evidence: of each system, by name.
        chosen: index and name of the classes whose precision-recall curves are drawn.
    """
    shown = _few(systems, baseline)
    colour = plots.colours(shown)
    rival = best(systems, baseline)
    main = rival or baseline
    seen = {s.label: evidence[s.name] for s in shown if s.name in evidence and comparable(s, baseline)}
    others = [s for s in shown if s not in (main, baseline) and comparable(s, baseline)][:_MORE]
    dots = f"; dots: {baseline.label}, in the same order" if rival else ""
    few = f" Shown are the best systems and {baseline.label}." if len(shown) < len(systems) else ""
    pictures: list[Picture] = []

    def add(name: str, title: str, caption: str, figure: Figure | None, plot: interactive.Plot | None) -> None:
        if figure is not None:
            pictures.append(Picture(name, title, caption, png(figure, dpi=160), plot=plot))

    with style():
        if rival:
            add(
                "gain",
                f"Gain over {baseline.label}",
                f"AP of {main.label} minus AP of {baseline.label}, for the final weights, averaged over seeds, against"
                f" the number of {counts.of} of the class. Squares are medians of ten groups of classes, by frequency.",
                plots.gain(main, baseline, counts, colour),
                interactive.gain([main, *others], baseline, counts, colour),
            )
        add(
            "per_class",
            "Average precision of each class",
            f"Classes sorted by their AP, for the final weights, averaged over seeds (line: {main.label}{dots})."
            f" The grey area shows the number of {counts.of} of each class, on the logarithmic axis on the right.",
            plots.per_class(main, baseline if rival else None, counts, colour),
            interactive.per_class([main, *([baseline] if rival else []), *others], counts, colour),
        )
        add(
            "localisation",
            "Localisation against tagging",
            "Left: mAP of seconds over all clips and classes. Right: how often the highest second lies in an event."
            " Circles: f; triangles: p, on the right; dashes: the clip's probability at each second, as under a uniform"
            " measure. Means over seeds.",
            draw_localisation(shown, colour),
            interactive_lines.localisation(shown, colour),
        )
        if seen:
            add(
                "calibration",
                "Calibration",
                "Above: share of positives among the pairs of a clip and a class whose predicted probability lies in a"
                " tenth of the range from 0 to 1. Below: number of these pairs. Final weights, all seeds together."
                f" ECE: expected calibration error.{few}",
                plots.calibration(seen, colour),
                interactive_lines.calibration(seen, colour),
            )
        if seen and chosen:
            add(
                "precision_recall",
                "Precision and recall",
                f"Precision at each recall, for classes from frequent to rare, each with its number of {counts.of}."
                f" Final weights, averaged over seeds.{few}",
                plots.precision_recall(seen, chosen, counts, colour),
                interactive_lines.precision_recall(seen, chosen, counts, colour),
            )
        add(
            "training",
            "mAP over training",
            "mAP on the hold-out during training. Lines are means over seeds, shaded areas reach from the lowest to the"
            f" highest seed.{few}",
            plots.training(shown, colour),
            interactive_lines.training(shown, colour),
        )
    return pictures


def example_pictures(
    systems: Sequence[System],
    labels: Labels,
    chosen: Mapping[int, str],
    load: Load | None,
    audio_url: str | None = None,
) -> tuple[list[Picture], list[str]]:
    """Return pictures of a few clips as the best system hears them, or a sentence on why there are none.

    Args:
        systems: of the report, best first.
        labels: opens the eval set.
        chosen: index and name of the classes to find clips of.
        load: makes a model from a checkpoint; None for no pictures.
        audio_url: pattern of the addresses of the clips, see `Listening`.
    """
    if load is None:
        return [], []
    system = systems[0]
    try:
        found, wrong = example_clips(system, labels, load, chosen, audio_url)
    except InputError as error:
        return [], [f"{system.label} has no pictures of clips: {error}."]
    shown = ", ".join(dict.fromkeys(title for clip in (*found, *wrong) for title, *_ in clip.panels()))
    details = (
        f" Model: {system.label}, seed {system.seeds[0]}, final weights. Classes are sorted by their probability F,"
        f" and those that the clip has are ticked. Shown over time: {shown}."
    )
    parts = (
        (
            "clips_found",
            "Clips it found",
            "For some classes, the clip with the highest F of those that have the class, if F is at least"
            f" {LEAST} and the class is among the {AMONG} likeliest of the clip.",
            found,
        ),
        ("clips_most_wrong", "Clips it got most wrong", "The clips with the largest loss.", wrong),
    )
    return [
        Picture(
            n,
            title,
            text + details,
            png(draw_clips(clips)),
            wide=True,
            clips=tuple(clip_values(clip, plays=audio_url is not None) for clip in clips),
        )
        for n, title, text, clips in parts
        if clips
    ], []


def _few(systems: Sequence[System], baseline: System) -> list[System]:
    """Return the best systems and the baseline, as many as lines can be told apart."""
    shown = list(systems[:_MOST])
    return shown if baseline in shown else [*shown[:-1], baseline]
