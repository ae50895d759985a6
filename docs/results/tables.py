"""The results' tables in README.md and docs/results/index.md, made from the CSVs beside this file.

    python docs/results/tables.py

Each table stands between `<!-- results: NAME -->` and `<!-- end -->`; the numbers are those that `audiobag-report`
wrote. A test holds pages and CSVs together.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent
ROOT = RESULTS.parents[1]
PAGES = (ROOT / "README.md", RESULTS / "index.md")
TITLES = {
    "paper/average_unbalanced": "average pooling, without balancing",
    "paper/average": "average pooling",
    "paper/max": "max pooling",
    "paper/attention_relu": "attention, ReLU measure",
    "paper/attention_sigmoid": "attention, sigmoid measure",
    "paper/attention_softmax": "attention, softmax measure",
    "paper/google_baseline": "Google's baseline, frame by frame",
    "paper/rnn_average": "RNN, average pooling",
}
THE_PAPERS = {
    "table1": ("paper/average_unbalanced", "paper/average"),
    "table2": ("paper/attention_relu", "paper/attention_sigmoid", "paper/attention_softmax"),
    "table3": (
        "paper/max",
        "paper/average",
        "paper/google_baseline",
        "paper/rnn_average",
        "paper/attention_softmax",
    ),
}
# The paper's claims, as differences that should be above 0.
ORDERINGS = (
    ("paper/average", "paper/average_unbalanced"),
    ("paper/attention_softmax", "paper/attention_sigmoid"),
    ("paper/attention_sigmoid", "paper/attention_relu"),
    ("paper/attention_relu", "paper/average"),
    ("paper/average", "paper/max"),
    ("paper/attention_softmax", "paper/average"),
    ("paper/attention_softmax", "paper/google_baseline"),
    ("paper/attention_softmax", "paper/rnn_average"),
)
LONG_TAIL_ORDERINGS = tuple(
    (f"paper/average sampler={one}", f"paper/average sampler={other}")
    for one, other in (("balanced", "uniform"), ("weighted", "uniform"), ("balanced", "weighted"))
)
PRECISIONS = {"fp32": "paper/average trainer.precision=32-true", "bf16": "paper/average trainer.precision=bf16-mixed"}
METRICS = {"mAP": (4, 3), "AUC": (4, 3), "d_prime": (3, 3)}  # digits of ours, and of the paper's
Scores = dict[tuple[str, str, str], dict[str, str]]


def scores(name: str) -> Scores:
    """Return the rows of a report's scores.csv by (system, scored, metric)."""
    with (RESULTS / name / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {(row["system"], row["scored"], row["metric"]): row for row in csv.DictReader(file)}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def papers_table(systems: tuple[str, ...]) -> str:
    """Return final and averaged mAP, the averaged predictions' AUC and d', and the paper's three numbers."""
    found = scores("report")
    rows = []
    for system in systems:
        cells = [_cell(found[system, "test", "mAP"], 4)]
        cells += [_cell(found[system, "test_averaged", metric], digits) for metric, (digits, _) in METRICS.items()]
        paper = (
            f"{float(found[system, 'test', metric]['paper']):.{digits}f}" for metric, (_, digits) in METRICS.items()
        )
        rows.append([TITLES[system], *cells, " / ".join(paper)])
    return table(["system", "mAP, final weights", "mAP, averaged", "AUC", "d'", "the paper's mAP / AUC / d'"], rows)


def whole() -> str:
    """Return the eight systems by their averaged mAP, beside the paper's."""
    found = scores("report")
    order = sorted(TITLES, key=lambda s: float(found[s, "test_averaged", "mAP"]["mean"]))
    rows = []
    for system in order:
        paper = f"{float(found[system, 'test', 'mAP']['paper']):.3f}"
        cells = [_cell(found[system, "test_averaged", metric], digits) for metric, (digits, _) in METRICS.items()]
        rows.append([TITLES[system], *cells, paper])
    return table(["system", "mAP", "AUC", "d'", "the paper's mAP"], rows)


def long_tail() -> str:
    """Return Table 1 on the long tail, by sampler."""
    found = scores("longtail")
    rows = []
    for system in sorted({system for system, _, _ in found}, key=lambda s: float(found[s, "test", "mAP"]["mean"])):
        cells = [_cell(found[system, "test", metric], digits) for metric, (digits, _) in METRICS.items()]
        rows.append([system.split("sampler=")[-1], *cells, _cell(found[system, "test_averaged", "mAP"], 4)])
    return table(["sampler", "mAP, final weights", "AUC", "d'", "mAP, averaged"], rows)


def precisions() -> str:
    """Return one system in bf16 and in fp32."""
    found = scores("fp32")
    rows = []
    for precision, system in PRECISIONS.items():
        kinds = (("test", "mAP", 4), ("test_averaged", "mAP", 4), ("test", "AUC", 4), ("test", "d_prime", 3))
        rows.append([precision, *(_cell(found[system, s, m], digits) for s, m, digits in kinds)])
    return table(["average pooling in", "mAP, final weights", "mAP, averaged", "AUC", "d'"], rows)


def orderings(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """Return the differences in mAP, final weights, of pairs of systems with their intervals."""
    with (RESULTS / name / "pairwise.csv").open(encoding="utf-8", newline="") as file:
        found = {(row["system"], row["baseline"]): row for row in csv.DictReader(file) if row["scored"] == "test"}
    rows = []
    for one, other in pairs:
        sign, row = (1, found[one, other]) if (one, other) in found else (-1, found[other, one])
        ranges = (_range(row, over, sign) for over in ("seeds", "clips", "classes"))
        rows.append([f"{_title(one)}, less {_title(other)}", f"{sign * float(row['difference']):+.4f}", *ranges])
    return table(["mAP, final weights", "difference", "95 % over seeds", "over clips", "over classes"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "whole": whole,
    **{name: lambda systems=systems: papers_table(systems) for name, systems in THE_PAPERS.items()},
    "precisions": precisions,
    "longtail": long_tail,
    "orderings": lambda: orderings("report", ORDERINGS),
    "longtail-orderings": lambda: orderings("longtail", LONG_TAIL_ORDERINGS),
}


def renewed(page: str) -> str:
    """Return a page with its tables made anew."""

    def new(found: re.Match[str]) -> str:
        return f"{found[1]}\n\n{TABLES[found[2]]()}\n\n<!-- end -->"

    return re.sub(r"(<!-- results: ([\w-]+) -->).*?<!-- end -->", new, page, flags=re.DOTALL)


def _title(system: str) -> str:
    return system.split("sampler=")[-1] if "sampler=" in system else TITLES[system]


def _cell(row: dict[str, str], digits: int) -> str:
    mean = f"{float(row['mean']):.{digits}f}"
    return f"{mean} ± {float(row['deviation']):.{digits}f}" if row["deviation"] else mean


def _range(row: dict[str, str], over: str, sign: int) -> str:
    ends = [row[f"{over}_{end}"] for end in ("low", "high")]
    return " to ".join(f"{end:+.4f}" for end in sorted(sign * float(end) for end in ends)) if all(ends) else "-"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
