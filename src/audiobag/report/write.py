"""The report: runs in; a folder of tables, figures and one page out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from audiobag.pictures.curves import spread
from audiobag.report import localisation, plots
from audiobag.report.clip_selection import class_index
from audiobag.report.clips import Load
from audiobag.report.collect import LeftOut, collect
from audiobag.report.compare import comparable, differences, flags, pairwise
from audiobag.report.evidence import Evidence, Labels, examine
from audiobag.report.figures import example_pictures, score_pictures
from audiobag.report.formats import Table, csv_text, latex, markdown, markdown_text
from audiobag.report.page import Picture, page, place
from audiobag.report.systems import System, choose, group
from audiobag.report.tables import difference_tables, differences_csv, score_tables, scores_csv
from audiobag.utils.files import atomic, check_writable, write_text
from audiobag.utils.values import check_whole


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written.

    Attributes:
        page: path of report.html.
        tables: scores and differences.
        notices: warnings about what makes the numbers hard to compare, or is missing.
        left_out: folders that look like runs but are not in the report.
    """

    page: Path
    tables: tuple[Table, ...]
    notices: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def report(
    runs: Sequence[Path],
    out: Path | None = None,
    baseline: str | None = None,
    classes: Sequence[str] | None = None,
    replicates: int = 200,
    load: Load | None = None,
) -> Report:
    """Compare the runs at and below some folders; write report.html, report.md, tables.tex, CSV and PNG files.

    Args:
        runs: folders of runs or of sweeps.
        out: folder to write to; by default `report` in the first of `runs`.
        baseline: name of the system that differences are taken to; average pooling by default.
        classes: names of the classes whose precision-recall curves are drawn; by default six from the most frequent
            to the rarest.
        replicates: number of replicates of the bootstrap over clips; 0 for none.
        load: makes a model from a checkpoint (`audiobag.load`), for pictures of a few clips; None for no such pictures.

    Raises:
        ValueError: there are no complete runs, no such baseline or class, or `out` cannot be written.
    """
    check_whole("replicates", replicates, 0, " (0 for no bootstrap over clips)")
    found, left_out = collect(runs)
    folder = runs[0] / "report" if out is None else out
    check_writable(folder)
    systems, repeats = group(found)
    against = choose(systems, baseline)
    labels = Labels()
    counts = plots.class_counts(against.runs[0].classes)
    chosen = _classes(against, counts, classes)
    evidence, missing = _examine(systems, labels, list(chosen), replicates)
    compared = differences(systems, against, evidence)
    tables = [*score_tables(systems), *difference_tables(compared, against, replicates)]
    ends, no_ends = localisation.intervals(systems, replicates)
    if located := localisation.localisation_table(systems, ends):
        tables.append(located)
    clips, no_clips = example_pictures(systems, against, labels, chosen, load)
    notices = [*flags(systems), *missing, *no_clips, *localisation.notices(systems), *no_ends]
    left_out = [*left_out, *repeats]
    pictures = [*score_pictures(systems, against, counts, evidence, chosen), *clips]
    per_class = _per_class(systems, against, counts)
    title = ", ".join(run.resolve().name for run in runs)
    for picture in pictures:
        with atomic(folder / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.png)
    write_text(folder / "scores.csv", scores_csv(systems))
    if located:
        write_text(folder / "localisation.csv", localisation.localisation_csv(systems, ends))
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


def _classes(baseline: System, counts: plots.Counts, wanted: Sequence[str] | None) -> dict[int, str]:
    """Return index and name of the classes whose curves are drawn.

    Raises:
        ValueError: there is no such class.
    """
    table = baseline.runs[0].classes
    if wanted is None:
        chosen = spread(counts.clips, table.positives > 0)
    else:
        chosen = [class_index(table.names, name, "classes") for name in wanted]
    return {k: table.names[k] for k in chosen}


def _per_class(systems: Sequence[System], baseline: System, counts: plots.Counts) -> list[dict[str, object]]:
    """Return a row per class, with the AP of each system that has the classes of the baseline."""
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
