"""The report: runs in, a folder of tables, pictures and the page out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress

from audiobag.choosing import class_index
from audiobag.errors import UserError
from audiobag.files import atomic, write_text
from audiobag.pictures import draw_clips, png
from audiobag.report import plots
from audiobag.report.clips import Load, telling
from audiobag.report.collect import LeftOut, collect
from audiobag.report.compare import best, best_attention, comparable, differences, flags, pairwise
from audiobag.report.evidence import Evidence, Labels, examine
from audiobag.report.page import Picture, page, place
from audiobag.report.systems import System, choose, group
from audiobag.report.tables import (
    Table,
    csv_text,
    difference_tables,
    differences_csv,
    latex,
    markdown,
    markdown_text,
    score_tables,
    scores_csv,
)
from audiobag.values import check_path, check_whole, listed, paths

_CHOSEN = 6


@dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        page: report.html.
        tables: scores and differences.
        notices: what makes the numbers hard to compare, or is missing.
        left_out: folders that look like runs but are not in it.
    """

    page: Path
    tables: tuple[Table, ...]
    notices: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    baseline: str | None = None,
    classes: str | Sequence[str] | None = None,
    replicates: int = 200,
    load: Load | None = None,
) -> Report:
    """Compare the runs at and below some folders: report.html, report.md, tables.tex, CSVs and PNGs.

    Args:
        runs: a folder of a run or of a sweep, or several.
        out: the folder to write to; by default `report` in the first of `runs`.
        baseline: the system that differences are taken to; by default average pooling.
        classes: the name, or names, of the classes whose precision-recall curves are drawn; by default six from the
            most frequent to the rarest.
        replicates: of the bootstrap over clips; 0 for none.
        load: makes a model of a checkpoint, for pictures of a few clips (`audiobag.load`); None for no such pictures.

    Raises:
        UserError: a folder without runs, a baseline or a class that is not there.
    """
    check_whole("replicates", replicates, 0, " (no bootstrap over clips)")
    runs = paths("runs", runs)
    check_path("out", out, optional=True)
    found, left_out = collect(runs)
    systems, repeats = group(found)
    against = choose(systems, baseline)
    labels = Labels()
    counts = plots.class_counts(against.runs[0].classes)
    chosen = _classes(against, counts, classes)
    evidence, missing = _examine(systems, labels, list(chosen), replicates)
    compared = differences(systems, against, evidence)
    tables = [*score_tables(systems), *difference_tables(compared, against, replicates)]
    clips, no_clips = _clips(systems, against, labels, chosen, load)
    notices = [*flags(systems), *missing, *no_clips]
    left_out = [*left_out, *repeats]
    folder = Path(runs[0] if out is None else out) / ("report" if out is None else "")
    pictures = [*_pictures(systems, against, counts, evidence, chosen), *clips]
    per_class = _per_class(systems, against, counts)
    title = ", ".join(run.resolve().name for run in runs)
    for picture in pictures:
        with atomic(folder / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.png)
    write_text(folder / "scores.csv", scores_csv(systems))
    write_text(folder / "differences.csv", differences_csv(compared))
    write_text(folder / "pairwise.csv", differences_csv(pairwise(systems, evidence)))
    write_text(folder / "per_class.csv", csv_text(list(per_class[0]), [list(row.values()) for row in per_class]))
    write_text(folder / "tables.tex", "\n".join(["% needs \\usepackage{booktabs}", *map(latex, tables)]))
    write_text(folder / "report.md", _markdown(title, tables, pictures, notices, left_out))
    html = page(title, systems, tables, pictures, per_class, notices, left_out)
    write_text(folder / "report.html", html)
    return Report(folder / "report.html", tuple(tables), tuple(notices), tuple(left_out))


def _examine(
    systems: Sequence[System], labels: Labels, classes: Sequence[int], replicates: int
) -> tuple[dict[str, Evidence], list[str]]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predictions", total=sum(len(s.runs) for s in systems))
        return examine(systems, labels, classes, replicates, lambda: progress.advance(task))


def _classes(baseline: System, counts: plots.Counts, wanted: str | Sequence[str] | None) -> dict[int, str]:
    """Return index and name of the classes whose curves are drawn.

    Raises:
        UserError: there is no such class.
    """
    table = baseline.runs[0].classes
    if wanted is None:
        order = np.argsort(-counts.clips, kind="stable")
        order = order[table.positives[order] > 0]
        # Frequencies are long-tailed: ranks in equal ratios show more of them than ranks in equal steps.
        ranks = np.unique(np.geomspace(1, max(len(order), 1), _CHOSEN).round().astype(int)) - 1
        return {int(order[rank]): table.names[order[rank]] for rank in ranks if rank < len(order)}
    found = (class_index(table.names, str(name), "classes") for name in listed(wanted))
    return {k: table.names[k] for k in found}


def _pictures(
    systems: Sequence[System],
    baseline: System,
    counts: plots.Counts,
    evidence: Mapping[str, Evidence],
    chosen: Mapping[int, str],
) -> list[Picture]:
    """Draw what there is material for."""
    colour = plots.colours(systems)
    rival = best(systems, baseline)
    main = rival or baseline
    seen = {s.name: evidence[s.name] for s in systems if s.name in evidence and comparable(s, baseline)}
    dots = f", dots {baseline.name} in the same order" if rival else ""
    parts: list[tuple[str, str, str, Callable[[], Figure | None]]] = [
        (
            "per_class",
            "Average precision of each class",
            f"Classes sorted by their AP (line: {main.name}{dots}; means over seeds, final weights). Grey behind:"
            f" {counts.of} of each class, right axis, logarithmic.",
            lambda: plots.per_class(main, baseline if rival else None, counts, colour),
        ),
        (
            "gain",
            f"Gain over {baseline.name}",
            f"AP of {main.name} less AP of {baseline.name}, each a mean over seeds of the final weights, against the"
            f" {counts.of} of the class; squares are medians of ten groups of classes of rising frequency.",
            lambda: plots.gain(main, baseline, counts, colour) if rival else None,
        ),
        (
            "calibration",
            "Calibration",
            "Of all pairs of clip and class that were given a probability in a tenth of 0 to 1, the share that is so"
            " (above) and their number (below), seeds pooled, final weights. ECE: expected calibration error.",
            lambda: plots.calibration(seen, colour) if seen else None,
        ),
        (
            "precision_recall",
            "Precision and recall",
            "Precision at each recall for classes of different frequency: mean over seeds, final weights.",
            lambda: plots.precision_recall(seen, chosen, counts, colour) if seen and chosen else None,
        ),
        (
            "training",
            "mAP over training",
            "mAP on the hold-out while training: mean over seeds, and between the lowest and the highest seed shaded.",
            lambda: plots.training(systems, colour),
        ),
    ]
    pictures = []
    with plots.style():
        for name, title, caption, draw in parts:
            figure = draw()
            if figure is not None:
                pictures.append(Picture(name, title, caption, png(figure, dpi=200)))
    return pictures


def _clips(
    systems: Sequence[System], baseline: System, labels: Labels, chosen: Mapping[int, str], load: Load | None
) -> tuple[list[Picture], list[str]]:
    """Draw a few clips as the best attention hears them; or say why there are none."""
    if load is None:
        return [], []
    system = best_attention(systems) or baseline
    try:
        found, wrong = telling(system, labels, load, chosen)
    except UserError as error:
        return [], [f"{system.name} is without pictures of clips: {error}."]
    how = (
        f" under {system.name}, seed {system.seeds[0]}, final weights: classes by their probability F, those the clip"
        " has ticked; over time the frame probability f, the measure p, and f p, which adds up to F."
    )
    parts = (
        ("clips_found", "Clips it found", "The clip in which a class was found with most certainty", found),
        ("clips_most_wrong", "Clips it got most wrong", "The clips of the largest loss", wrong),
    )
    return [Picture(n, title, text + how, png(draw_clips(c)), wide=True) for n, title, text, c in parts if c], []


def _per_class(systems: Sequence[System], baseline: System, counts: plots.Counts) -> list[dict[str, object]]:
    """Return a row a class, for all systems that were scored on the baseline's classes."""
    table = baseline.runs[0].classes
    columns: dict[str, list[object]] = {"Class": list(table.names), "Eval clips": table.positives.tolist()}
    if counts.of == "training clips":
        columns["Training clips"] = counts.clips.tolist()
    for system in systems:
        if comparable(system, baseline):
            columns[system.name] = [v if np.isfinite(v) else None for v in system.average_precision.tolist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _markdown(
    title: str,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    notices: Sequence[str],
    left_out: Sequence[LeftOut],
) -> str:
    lines = [f"# {markdown_text(title)}", ""]
    lines += [f"> {markdown_text(notice)}\n>" for notice in notices] + ([""] if notices else [])
    lines += [markdown(table) for table in tables]
    for picture in pictures:
        lines += [f"![{markdown_text(picture.title)}]({picture.name}.png)", "", markdown_text(picture.caption), ""]
    if left_out:
        lines += ["## Left out", ""]
        lines += [f"- {markdown_text(place(each.path))}: {markdown_text(each.reason)}" for each in left_out]
    return "\n".join(lines).rstrip() + "\n"
