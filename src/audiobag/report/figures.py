"""The figures of a report, with their titles and captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from audiobag.pictures.clips import draw_clips
from audiobag.report import plots
from audiobag.report.clips import Load, example_clips
from audiobag.report.compare import best, best_attention, comparable
from audiobag.report.evidence import Evidence, Labels
from audiobag.report.localisation import draw_localisation
from audiobag.report.page import Picture
from audiobag.report.systems import System
from audiobag.utils.errors import InputError
from audiobag.utils.plotting import png, style


def score_pictures(
    systems: Sequence[System],
    baseline: System,
    counts: plots.Counts,
    evidence: Mapping[str, Evidence],
    chosen: Mapping[int, str],
) -> list[Picture]:
    """Return the figures of scores, as far as there is data for them.

    Args:
        systems: of the report.
        baseline: the system to compare with.
        counts: number of clips of each class.
        evidence: of each system, by name.
        chosen: index and name of the classes whose precision-recall curves are drawn.
    """
    colour = plots.colours(systems)
    rival = best(systems, baseline)
    main = rival or baseline
    seen = {s.name: evidence[s.name] for s in systems if s.name in evidence and comparable(s, baseline)}
    dots = f"; dots: {baseline.name}, in the same order" if rival else ""
    parts: list[tuple[str, str, str, Callable[[], Figure | None]]] = [
        (
            "per_class",
            "Average precision of each class",
            f"Classes sorted by their AP, for the final weights, averaged over seeds (line: {main.name}{dots})."
            f" The grey area shows the number of {counts.of} of each class, on the logarithmic axis on the right.",
            lambda: plots.per_class(main, baseline if rival else None, counts, colour),
        ),
        (
            "gain",
            f"Gain over {baseline.name}",
            f"AP of {main.name} minus AP of {baseline.name}, for the final weights, averaged over seeds, against the"
            f" number of {counts.of} of the class. Squares are medians of ten groups of classes, by frequency.",
            lambda: plots.gain(main, baseline, counts, colour) if rival else None,
        ),
        (
            "calibration",
            "Calibration",
            "Above: share of positives among the pairs of a clip and a class whose predicted probability lies in a"
            " tenth of the range from 0 to 1. Below: number of these pairs. Final weights, all seeds together."
            " ECE: expected calibration error.",
            lambda: plots.calibration(seen, colour) if seen else None,
        ),
        (
            "precision_recall",
            "Precision and recall",
            "Precision at each recall for classes of different frequency, for the final weights, averaged over seeds.",
            lambda: plots.precision_recall(seen, chosen, counts, colour) if seen and chosen else None,
        ),
        (
            "training",
            "mAP over training",
            "mAP on the hold-out during training. Lines are means over seeds, shaded areas reach from the lowest to the"
            " highest seed.",
            lambda: plots.training(systems, colour),
        ),
        (
            "localisation",
            "Localisation against tagging",
            "Left: mAP of seconds over all clips and classes. Right: how often the highest second lies in an event."
            " Circles: f; triangles: p, on the right; dashes: the clip's probability at each second, as under a uniform"
            " measure. Means over seeds.",
            lambda: draw_localisation(systems, colour),
        ),
    ]
    pictures = []
    with style():
        for name, title, caption, draw in parts:
            figure = draw()
            if figure is not None:
                pictures.append(Picture(name, title, caption, png(figure, dpi=200)))
    return pictures


def example_pictures(
    systems: Sequence[System], baseline: System, labels: Labels, chosen: Mapping[int, str], load: Load | None
) -> tuple[list[Picture], list[str]]:
    """Return pictures of a few clips as the best attention system hears them, or a sentence on why there are none.

    Args:
        systems: of the report.
        baseline: used if there is no attention system.
        labels: opens the eval set.
        chosen: index and name of the classes to find clips of.
        load: makes a model from a checkpoint; None for no pictures.
    """
    if load is None:
        return [], []
    system = best_attention(systems) or baseline
    try:
        found, wrong = example_clips(system, labels, load, chosen)
    except InputError as error:
        return [], [f"{system.name} has no pictures of clips: {error}."]
    shown = ", ".join(dict.fromkeys(title for clip in (*found, *wrong) for title, *_ in clip.panels()))
    details = (
        f" Model: {system.name}, seed {system.seeds[0]}, final weights. Classes are sorted by their probability F,"
        f" and those that the clip has are ticked. Shown over time: {shown}."
    )
    parts = (
        ("clips_found", "Clips it found", "For some classes, the clip that has the class and the highest F.", found),
        ("clips_most_wrong", "Clips it got most wrong", "The clips with the largest loss.", wrong),
    )
    return [Picture(n, title, text + details, png(draw_clips(c)), wide=True) for n, title, text, c in parts if c], []
