"""Makes the tables of results in README.md and in the pages of this folder from its CSV files.

    python docs/results/tables.py

Each table is between `<!-- results: NAME -->` and `<!-- end -->`. `audiobag-report` and `collect.py` wrote the numbers.
A test checks that the pages agree with the CSV files.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent
ROOT = RESULTS.parents[1]
PAGES = (ROOT / "README.md", RESULTS / "index.md", RESULTS / "beyond.md")
TITLES = {
    "average_unbalanced": "average pooling, without balancing",
    "average": "average pooling",
    "max": "max pooling",
    "attention_relu": "attention, ReLU measure",
    "attention_sigmoid": "attention, sigmoid measure",
    "attention_softmax": "attention, softmax measure",
    "google_baseline": "Google's baseline, frame by frame",
    "rnn_average": "RNN, average pooling",
}
THE_PAPERS = {
    "table1": ("average_unbalanced", "average"),
    "table2": ("attention_relu", "attention_sigmoid", "attention_softmax"),
    "table3": ("max", "average", "google_baseline", "rnn_average", "attention_softmax"),
}
# The claims of the paper, as differences that are above 0.
ORDERINGS = (
    ("average", "average_unbalanced"),
    ("attention_softmax", "attention_sigmoid"),
    ("attention_sigmoid", "attention_relu"),
    ("attention_relu", "average"),
    ("average", "max"),
    ("attention_softmax", "average"),
    ("attention_softmax", "google_baseline"),
    ("attention_softmax", "rnn_average"),
)
LONG_TAIL_ORDERINGS = tuple(
    (f"average sampler={one}", f"average sampler={other}")
    for one, other in (("balanced", "uniform"), ("weighted", "uniform"), ("balanced", "weighted"))
)
PRECISIONS = {"fp32": "average trainer.precision=32-true", "bf16": "average trainer.precision=bf16-mixed"}
# Steps of `sweep=recipe`; the last two are runs of other sweeps with the same configuration.
LADDER = {
    "ladder/experiment-ladder-1_paper": "the paper's softmax attention, scored after the last step",
    "ladder/experiment-ladder-2_uniform": "+ uniform sampling",
    "ladder/experiment-ladder-3_wide": "+ 3 x 1,024 units, batch norm, dropout 0.5",
    "ladder/experiment-ladder-4_cosine": "+ AdamW, cosine schedule, 1,500 steps",
    "ladder/experiment-ladder-5_mixup": "+ mixup of bags",
    "ladder/experiment-ladder-6_prior": "+ output biases that start at the log-odds of 0.0025",
    "ladder/experiment-ladder-7_decay": "+ weight decay 0.5",
    "poolings/pooling-attention_sigmoid": "+ sigmoid attention instead of softmax attention",
    "best/seed-0": "+ feature-level attention beside it: `experiment=best`",
}
# (title, run or sweep in beyond/scores.csv), or (title, published mAP, AUC and d').
LEADERS: tuple[tuple[str, str] | tuple[str, str, str, str], ...] = (
    ("ensemble of the three seeds of `experiment=best`", "ens_best/"),
    ("`experiment=best`, three seeds", "best"),
    ("the same, distilled from ten models of other folds, three seeds", "distilled"),
    ("the same with 768 units, distilled, one seed", "small"),
    ("feature-level attention, one seed", "poolings/pooling-feature_attention"),
    ("sigmoid attention of the paper, this recipe, one seed", "poolings/pooling-attention_sigmoid"),
    ("Kong et al. 2019, feature-level attention (published)", "0.274", "0.949", "2.316"),
    ("average pooling, this recipe, one seed", "poolings/pooling-average"),
    ("sigmoid attention, the paper's recipe, one seed", "paper/experiment-attention_sigmoid"),
)
METRICS = {"mAP": (4, 3), "AUC": (4, 3), "d_prime": (3, 3)}  # number of digits here, and in the paper
Scores = dict[tuple[str, str, str], dict[str, str]]


def scores(name: str) -> Scores:
    """Return the rows of the scores.csv of a report by (system, scored, metric)."""
    with (RESULTS / name / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {(_name(row["system"]), row["scored"], row["metric"]): row for row in csv.DictReader(file)}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def papers_table(systems: tuple[str, ...]) -> str:
    """Return a table of mAP for final weights, of mAP, AUC and d' for averaged predictions, and the paper's numbers."""
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
    """Return a table of the eight systems, sorted by the mAP of averaged predictions, with the paper's mAP."""
    found = scores("report")
    order = sorted(TITLES, key=lambda s: float(found[s, "test_averaged", "mAP"]["mean"]))
    rows = []
    for system in order:
        paper = f"{float(found[system, 'test', 'mAP']['paper']):.3f}"
        cells = [_cell(found[system, "test_averaged", metric], digits) for metric, (digits, _) in METRICS.items()]
        rows.append([TITLES[system], *cells, paper])
    return table(["system", "mAP", "AUC", "d'", "the paper's mAP"], rows)


def long_tail() -> str:
    """Return a table of the samplers on the long tail."""
    found = scores("longtail")
    rows = []
    for system in sorted({system for system, _, _ in found}, key=lambda s: float(found[s, "test", "mAP"]["mean"])):
        cells = [_cell(found[system, "test", metric], digits) for metric, (digits, _) in METRICS.items()]
        rows.append([system.split("sampler=")[-1], *cells, _cell(found[system, "test_averaged", "mAP"], 4)])
    return table(["sampler", "mAP, final weights", "AUC", "d'", "mAP, averaged"], rows)


def precisions() -> str:
    """Return a table of one system in bf16 and in fp32."""
    found = scores("fp32")
    rows = []
    for precision, system in PRECISIONS.items():
        kinds = (("test", "mAP", 4), ("test_averaged", "mAP", 4), ("test", "AUC", 4), ("test", "d_prime", 3))
        rows.append([precision, *(_cell(found[system, s, m], digits) for s, m, digits in kinds)])
    return table(["average pooling in", "mAP, final weights", "mAP, averaged", "AUC", "d'"], rows)


def orderings(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """Return a table of differences in mAP between pairs of systems, for the final weights, with their intervals."""
    with (RESULTS / name / "pairwise.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["scored"] == "test"]
    found = {(_name(row["system"]), _name(row["baseline"])): row for row in rows}
    lines = []
    for one, other in pairs:
        sign, row = (1, found[one, other]) if (one, other) in found else (-1, found[other, one])
        ranges = (_range(row, over, sign) for over in ("seeds", "clips", "classes"))
        lines.append([f"{_title(one)}, less {_title(other)}", f"{sign * float(row['difference']):+.4f}", *ranges])
    return table(["mAP, final weights", "difference", "95 % over seeds", "over clips", "over classes"], lines)


def beyond() -> dict[str, dict[str, str]]:
    """Return the rows of beyond/scores.csv by sweep/run."""
    with (RESULTS / "beyond" / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {f"{row['sweep']}/{row['run']}": row for row in csv.DictReader(file)}


def leaders() -> str:
    """Return a table of the best systems and the published one."""
    found, rows = beyond(), []
    for title, *rest in LEADERS:
        if len(rest) == 3:
            rows.append([title, *rest])
            continue
        runs = [row for name, row in found.items() if name == rest[0] or name.startswith(f"{rest[0]}/")]
        rows.append([title, *(_of_runs(runs, metric, digits) for metric, (digits, _) in METRICS.items())])
    return table(["system, trained on 22,160 clips", "mAP", "AUC", "d'"], rows)


def ladder() -> str:
    """Return a table of the steps from the paper's recipe to the best one, each with its gain."""
    found = beyond()
    with (RESULTS / "beyond" / "ladder_pairwise.csv").open(encoding="utf-8", newline="") as file:
        pairs = {(row["system"], row["baseline"]): row for row in csv.DictReader(file)}
    rows: list[list[str]] = []
    before = ""
    for name, title in LADDER.items():
        row, gain, interval = found[name], "", ""
        if before:
            gain = f"{float(row['mAP']) - float(found[before]['mAP']):+.4f}"
            one, other = (x.partition("experiment-")[2].replace("-", "/", 1) for x in (name, before))
            interval = "not computed"
            if (one, other) in pairs or (other, one) in pairs:
                sign = 1 if (one, other) in pairs else -1
                interval = _range(pairs[(one, other) if sign == 1 else (other, one)], "clips", sign)
        rows.append([title, f"{float(row['mAP']):.4f}", gain, interval, f"{float(row['AUC']):.4f}"])
        before = name
    return table(["", "mAP", "gain", "95 % over clips", "AUC"], rows)


def poolings() -> str:
    """Return a table of the poolings that were trained with one embedding and one recipe."""
    found = [row for row in beyond().values() if row["sweep"] == "poolings"]
    order = sorted(found, key=lambda row: -float(row["mAP"]))
    rows = [
        [
            f"`{row['run'].removeprefix('pooling-')}`",
            *(_of_runs([row], m, digits) for m, (digits, _) in METRICS.items()),
        ]
        for row in order
    ]
    return table(["`pooling=`", "mAP", "AUC", "d'"], rows)


def folds() -> str:
    """Return a table of mAP on each held-out fold."""
    of = {name: [f"{float(beyond()[_fold(fold, name)]['hold_out_mAP']):.4f}" for fold in range(5)] for name in _FOLDED}
    means = {name: f"{statistics.mean(map(float, values)):.4f}" for name, values in of.items()}
    rows = [[f"`pooling={name}`", *values, means[name]] for name, values in of.items()]
    return table(["hold-out mAP of fold", *map(str, range(5)), "mean"], rows)


def gpu() -> str:
    """Return a table of the paper's systems on a GPU beside the runs on a CPU."""
    on_cpu = scores("report")
    rows = []
    for name, row in beyond().items():
        system = name.removeprefix("paper/experiment-")
        if system in TITLES:
            cells = (_cell(on_cpu[system, "test", "mAP"], 4), _of_runs([row], "mAP", 4))
            rows.append([TITLES[system], *cells])
    return table(["mAP, final weights", "CPU, three seeds", "GPU, seed 0"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "leaders": leaders,
    "ladder": ladder,
    "poolings": poolings,
    "folds": folds,
    "gpu": gpu,
    "whole": whole,
    **{name: lambda systems=systems: papers_table(systems) for name, systems in THE_PAPERS.items()},
    "precisions": precisions,
    "longtail": long_tail,
    "orderings": lambda: orderings("report", ORDERINGS),
    "longtail-orderings": lambda: orderings("longtail", LONG_TAIL_ORDERINGS),
}


def renewed(page: str) -> str:
    """Return a page with its tables made again."""

    def new(found: re.Match[str]) -> str:
        return f"{found[1]}\n\n{TABLES[found[2]]()}\n\n<!-- end -->"

    return re.sub(r"(<!-- results: ([\w-]+) -->).*?<!-- end -->", new, page, flags=re.DOTALL)


def _name(system: str) -> str:
    """Return the name of a system without the folder that experiments had in audiobag 0.1."""
    return system.removeprefix("paper/")


def _title(system: str) -> str:
    return system.split("sampler=")[-1] if "sampler=" in system else TITLES[system]


def _cell(row: dict[str, str], digits: int) -> str:
    mean = f"{float(row['mean']):.{digits}f}"
    return f"{mean} ± {float(row['deviation']):.{digits}f}" if row["deviation"] else mean


_FOLDED = ("fusion", "attention_sigmoid")


def _fold(fold: int, pooling: str) -> str:
    return f"folds/data.fold-{fold}__pooling-{pooling}"


def _of_runs(runs: list[dict[str, str]], metric: str, digits: int) -> str:
    values = [float(row[metric]) for row in runs]
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def _range(row: dict[str, str], over: str, sign: int) -> str:
    ends = [row[f"{over}_{end}"] for end in ("low", "high")]
    return " to ".join(f"{end:+.4f}" for end in sorted(sign * float(end) for end in ends)) if all(ends) else "-"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
