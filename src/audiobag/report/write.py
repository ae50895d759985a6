"""The report: runs in; a folder of tables, figures and one page out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from audiobag.pictures.curves import spread
from audiobag.pictures.listening import Listening
from audiobag.report import localisation, plots
from audiobag.report.clip_selection import class_index
from audiobag.report.clips import Load
from audiobag.report.collect import SCORED, LeftOut, collect
from audiobag.report.compare import comparable, differences, flags, pairwise, tied
from audiobag.report.evidence import Evidence, Labels, examine
from audiobag.report.figures import example_pictures, forest_picture, score_pictures, search_pictures
from audiobag.report.formats import Table, latex, markdown, markdown_text
from audiobag.report.localisation_differences import (
    localisation_difference_table,
    localisation_differences,
    localisation_differences_csv,
    localisation_forests,
)
from audiobag.report.page import Content, Picture, page, place
from audiobag.report.places import shortener
from audiobag.report.systems import System, choose, group
from audiobag.report.tables import difference_tables, differences_csv, score_tables, scores_csv
from audiobag.report.verdict import forest_rows, headline, verdict
from audiobag.runs import RunDirectory
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic, check_writable, csv_text, write_text
from audiobag.utils.values import check_whole

_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written.

    Attributes:
        page: path of report.html.
        verdict: sentences that say which system is best.
        tables: scores and differences.
        notices: warnings about what makes the numbers hard to compare, or is missing.
        left_out: folders that look like runs but are not in the report.
    """

    page: Path
    verdict: tuple[str, ...]
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
    audio_url: str | None = None,
) -> Report:
    """Compare the runs at and below some folders; write report.html, report.md, tables.tex, CSV and PNG files.

    Args:
        runs: folders of runs or of sweeps.
        out: folder to write to; by default `report` in the first of `runs`.
        baseline: name of the system that differences are taken to; by default average pooling or, if there is none, the
            best system.
        classes: names of the classes whose precision-recall curves are drawn; by default six from the most frequent
            to the rarest.
        replicates: number of replicates of the bootstrap over clips; 0 for none.
        load: makes a model from a checkpoint (`audiobag.load`), for pictures of a few clips; None for no such pictures.
        audio_url: address of the sound of a clip, such as `file:///data/{video_id}.wav`, see `Listening`; None for
            AudioSet's videos.

    Raises:
        ValueError: there are no complete runs, no such baseline or class, or `out` cannot be written.
    """
    check_whole("replicates", replicates, 0, " (0 for no bootstrap over clips)")
    sounds = Listening(audio_url).server
    found, left_out = collect(runs)
    folder = runs[0] / "report" if out is None else out
    check_writable(folder)
    if RunDirectory(folder).begun:
        raise InputError(f"out must not be the folder of a run, whose files would be replaced, got {folder}")
    systems, repeats = group(found)
    against = choose(systems, baseline)
    labels = Labels()
    counts = plots.class_counts(against.runs[0].classes)
    chosen = _classes(against, counts, classes)
    evidence, missing = _examine(systems, labels, list(chosen), replicates)
    ranked = systems[::-1]
    compared = differences(ranked, against, evidence)
    same = {scored: tied(ranked[0], ranked, scored, evidence) for scored in SCORED}
    tables = [*score_tables(ranked, same), *difference_tables(compared, ranked, against, replicates)]
    drawn, no_ends = localisation.bootstrap(ranked, replicates)
    ends = localisation.intervals(ranked, drawn)
    located = localisation_differences(ranked, against, drawn)
    of_seconds = localisation.localisation_table(ranked, ends), localisation_difference_table(located, against)
    tables += [table for table in of_seconds if table is not None]
    short = shortener(runs)
    clips, no_clips = example_pictures(ranked, labels, chosen, load, audio_url)
    forest = forest_picture(
        "forest",
        forest_rows(ranked, against, compared),
        f"difference in mAP to {against.label}",
        "Difference in mAP on the eval set with its 95 % interval. Grey: the interval contains 0.",
    )
    content = Content(
        title=headline(ranked),
        folders=_listed([run.resolve().name for run in runs]),
        verdict=verdict(ranked, against, evidence),
        forest=forest,
        systems=ranked,
        tables=tables,
        search=search_pictures(ranked),
        pictures=[
            *score_pictures(ranked, against, counts, evidence, chosen),
            *localisation_forests(located, against),
            *clips,
        ],
        per_class=_per_class(ranked, against, counts),
        notices=[*map(short, (*flags(systems), *missing, *no_clips, *localisation.notices(systems), *no_ends))],
        left_out=[LeftOut(each.path, short(each.reason)) for each in (*left_out, *repeats)],
        sounds=sounds,
    )
    for picture in _drawn(content):
        with atomic(folder / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.png or b"")
    rows = content.per_class
    texts = {
        "scores.csv": scores_csv(ranked),
        "localisation.csv": localisation.localisation_csv(ranked, ends) if of_seconds[0] else None,
        "localisation_differences.csv": localisation_differences_csv(located, against) if located else None,
        "differences.csv": differences_csv(compared),
        "pairwise.csv": differences_csv(pairwise(systems, evidence)),
        "per_class.csv": csv_text(list(rows[0]), [list(row.values()) for row in rows]),
        "tables.tex": "\n".join(["% needs \\usepackage{booktabs}", *map(latex, tables)]),
        "report.md": _markdown(content),
        "report.html": page(content),
    }
    for name, text in texts.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)  # of an earlier report
        else:
            write_text(folder / name, text)
    return Report(
        folder / "report.html",
        tuple(content.verdict),
        tuple(tables),
        tuple(content.notices),
        tuple(content.left_out),
    )


def _listed(names: Sequence[str]) -> str:
    """Return some names; of many, the first ones."""
    shown = names if len(names) <= _MOST_NAMES else [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} more"]
    return ", ".join(shown)


def _drawn(content: Content) -> list[Picture]:
    """Return the pictures that have a file."""
    every = (content.forest, *content.search, *content.pictures)
    return [picture for picture in every if picture is not None and picture.png is not None]


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


def _markdown(content: Content) -> str:
    lines = [f"# {markdown_text(content.title)}", ""]
    lines += [" ".join(map(markdown_text, content.verdict)), ""] if content.verdict else []
    notices = content.notices
    lines += [f"> {markdown_text(notice)}\n>" for notice in notices] + ([""] if notices else [])
    drawn = _drawn(content)
    pictures = [[f"![{markdown_text(p.title)}]({p.name}.png)", "", markdown_text(p.caption), ""] for p in drawn]
    first = 1 if content.forest else 0
    lines += [line for picture in pictures[:first] for line in picture]
    lines += [markdown(table) for table in content.tables]
    lines += [line for picture in pictures[first:] for line in picture]
    if content.left_out:
        lines += ["## Left out", ""]
        lines += [f"- {markdown_text(place(each.path))}: {markdown_text(each.reason)}" for each in content.left_out]
    return "\n".join(lines).rstrip() + "\n"
