"""Tables of scores and of differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from audiobag.metrics.further import FURTHER
from audiobag.report.collect import METRICS, SCORED
from audiobag.report.compare import Difference, short
from audiobag.report.formats import NONE, Table, ends_text, mean_text
from audiobag.report.statistics import CLASS_REPLICATES, RANGES, Estimate, estimate
from audiobag.report.systems import System
from audiobag.utils.files import csv_text
from audiobag.utils.times import duration

TITLES = {"test": "Final weights", "test_averaged": "Averaged predictions"}
_HEADS = {"mAP": "mAP", "AUC": "AUC", "d_prime": "d'"}


def score_tables(systems: Sequence[System], tied: Mapping[str, Collection[str]] | None = None) -> list[Table]:
    """Return a table of means, deviations and intervals for each of test and test_averaged that any system has.

    Rows are in the order of `systems`, the best values are in bold.

    Args:
        systems: best first.
        tied: for each of test and test_averaged, names of the systems that cannot be told from the best.
    """
    scored = [one for one in SCORED if any(s.values(one, "mAP") for s in systems)]
    further = [table for one in scored if (table := _further(systems, one))]
    return [*(_scores(systems, one, (tied or {}).get(one, ())) for one in scored), *further]


def _further(systems: Sequence[System], scored: str) -> Table | None:
    """Return a table of the scores beside the headline ones; None if no system has any."""
    metrics = [metric for metric in FURTHER if any(s.values(scored, metric) for s in systems)]
    if not metrics:
        return None
    cells = {s.name: [mean_text(estimate(s.values(scored, metric), 0, 1)) for metric in metrics] for s in systems}
    rows = [(s.label, str(len(s.runs)), *cells[s.name]) for s in systems]
    note = (
        "Mean ± standard deviation over seeds. Best F1: macro F1 with the thresholds that are best on the same clips."
    )
    columns = ("System", "Seeds", *(FURTHER[metric] for metric in metrics))
    bold = _best(systems, scored, {metric: 2 + n for n, metric in enumerate(metrics)})
    return Table(f"{TITLES[scored]}, further scores", columns, tuple(rows), len(columns), note, bold)


def _best(systems: Sequence[System], scored: str, columns: Mapping[str, int]) -> frozenset[tuple[int, int]]:
    """Return the cells with the highest mean of each metric.

    Args:
        systems: the rows.
        scored: test or test_averaged.
        columns: column of each metric.
    """
    cells = set()
    for metric, column in columns.items():
        means = [np.mean(values) if (values := s.values(scored, metric)) else -np.inf for s in systems]
        if len(systems) > 1 and max(means) > -np.inf:
            cells |= {(row, column) for row, mean in enumerate(means) if mean == max(means)}
    return frozenset(cells)


def _scores(systems: Sequence[System], scored: str, tied: Collection[str]) -> Table:
    paper = any(s.published for s in systems)
    stores = _letters(systems)
    revisions = {s.name: ", ".join(sorted({short(r.revision or "unknown") for r in s.runs})) for s in systems}
    # One option alone is what the systems are named by.
    options = [o for o in systems[0].options if any(s.options[o] != s.label for s in systems)]
    repeated = any(len(s.runs) > 1 for s in systems)
    columns = ["System", *options]
    place = {}
    for metric in METRICS:
        place[metric] = len(columns)
        columns += [_HEADS[metric], *(["95 %"] if repeated else []), *(["paper"] if paper else [])]
    columns += ["Seeds", "Steps", "Time"]
    columns += ["Data"] if len(set(stores.values())) > 1 else []
    columns += ["Code"] if len(set(revisions.values())) > 1 else []
    rows = []
    for system in systems:
        row = [system.label + (" ≈" if system.name in tied else ""), *(system.options[o] for o in options)]
        for metric in METRICS:
            row += _cells(system, scored, metric)[: 2 if repeated else 1]
            if paper:
                row.append(f"{getattr(system.published, metric):.3f}" if system.published else NONE)
        row += [str(len(system.runs)), system.steps]
        row.append(NONE if system.seconds is None else duration(system.seconds))
        row += [stores[system.name]] if "Data" in columns else []
        row += [revisions[system.name]] if "Code" in columns else []
        rows.append(tuple(row))
    note = "Time: of the training of one run."
    if repeated:
        note = (
            "Mean ± standard deviation over seeds; 95 %: Student's t interval of the mean, on the logit scale for mAP"
            f" and AUC. {note}"
        )
    if any(s.name in tied for s in systems):
        note += " ≈: cannot be told from the best, because the interval of the difference in mAP contains 0."
    if paper:
        data = ", ".join(sorted({s.runs[0].choices.get("data", "?") for s in systems}))
        note += (
            " Paper: AudioSet, 2,063,949 training clips, averaged predictions of 31,000 steps;"
            f" the runs here: data={data}."
        )
    essential = 1 + len(options) + 1 + repeated + paper
    return Table(TITLES[scored], tuple(columns), tuple(rows), essential, note, _best(systems, scored, place))


def _estimate(system: System, scored: str, metric: str) -> Estimate | None:
    return estimate(system.values(scored, metric), *RANGES[metric])


def _cells(system: System, scored: str, metric: str) -> list[str]:
    found = _estimate(system, scored, metric)
    digits = 3 if metric == "d_prime" else 4
    return [mean_text(found, digits), ends_text(None if found is None else found.interval, f".{digits}f")]


def _letters(systems: Sequence[System]) -> dict[str, str]:
    """Return for each system a letter that stands for its combination of stores."""
    kinds = [tuple(sorted(s.runs[0].stores.items())) for s in systems]
    order = list(dict.fromkeys(kinds))
    return {s.name: chr(ord("A") + order.index(kind)) for s, kind in zip(systems, kinds, strict=True)}


def difference_tables(
    found: Sequence[Difference], systems: Sequence[System], baseline: System, replicates: int
) -> list[Table]:
    """Return a table of differences in mAP for each of test and test_averaged that any system has.

    Args:
        found: the differences.
        systems: all systems.
        baseline: the system that they are taken to.
        replicates: number of replicates of the bootstrap over clips.
    """
    columns = ("System", "Δ mAP", "95 % over seeds", "95 % over clips", "95 % over classes", "Classes better", "worse")
    notes = {
        2: " Over seeds: Student's t interval of the differences of runs with the same seed.",
        3: f" Over clips: paired bootstrap of the scored clips, {replicates} replicates.",
        4: f" Over classes: paired bootstrap of the classes, {CLASS_REPLICATES:,} replicates.",
    }
    label = {s.name: s.label for s in systems}
    tables = []
    for scored in SCORED:
        of = [d for d in found if d.scored == scored]
        if not of:
            continue
        rows = [(label[d.system], *_difference(d)) for d in of]
        shown = [i for i in range(len(columns)) if any(row[i] != NONE for row in rows)]
        title = f"{TITLES[scored]}, difference to {baseline.label}"
        note = "Means over seeds." + "".join(notes[i] for i in shown if i in notes)
        if {3, 4} & set(shown):
            note += " Bootstrap intervals: difference ± 1.96 standard deviations of its replicates."
        cells = tuple(tuple(row[i] for i in shown) for row in rows)
        tables.append(Table(title, tuple(columns[i] for i in shown), cells, 4, note))
    return tables


def _difference(d: Difference) -> tuple[str, ...]:
    counts = (NONE if count is None else str(count) for count in (d.better, d.worse))
    return f"{d.mean:+.4f}", *(ends_text(ends, "+.4f") for ends in (d.seeds, d.clips, d.classes)), *counts


def scores_csv(systems: Sequence[System]) -> str:
    """Return all means, deviations and intervals as CSV, with one row per system, score and metric."""
    rows: list[list[object]] = []
    for system in systems:
        for scored in SCORED:
            for metric in METRICS:
                e = _estimate(system, scored, metric)
                if e is not None:
                    paper = getattr(system.published, metric) if system.published else None
                    row = [system.name, scored, metric, e.n, e.mean, e.deviation, e.low, e.high, paper]
                    rows.append([*row, system.steps.replace(",", ""), system.seconds])
    head = ["system", "scored", "metric", "seeds", "mean", "deviation", "low", "high", "paper", "steps", "seconds"]
    return csv_text(head, rows)


def differences_csv(found: Sequence[Difference]) -> str:
    """Return differences with their intervals as CSV."""
    ranges = ("seeds", "clips", "classes")
    head = ["system", "baseline", "scored", "difference", *(f"{r}_{end}" for r in ranges for end in ("low", "high"))]
    rows: list[list[object]] = []
    for d in found:
        ends = [end for r in ranges for end in getattr(d, r) or (None, None)]
        rows.append([d.system, d.baseline, d.scored, d.mean, *ends, d.better, d.worse])
    return csv_text([*head, "better", "worse"], rows)
