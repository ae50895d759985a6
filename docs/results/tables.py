"""Makes the tables of results in README.md and in the pages of this folder from its CSV files.

    python docs/results/tables.py

Each table is between `<!-- results: NAME -->` and `<!-- end -->`. `audiobag-report` and `collect.py` wrote the numbers.
A test checks that the pages agree with the CSV files.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import t as student

RESULTS = Path(__file__).parent
ROOT = RESULTS.parents[1]
PAGES = (
    ROOT / "README.md",
    RESULTS / "index.md",
    RESULTS / "beyond.md",
    RESULTS / "localisation.md",
    RESULTS.parent / "localisation.md",
)
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
PAPERS_NUMBERS = {  # mAP, AUC and d' in the paper
    "average_unbalanced": "0.275 / 0.957 / 2.429",
    "average": "0.296 / 0.960 / 2.473",
    "max": "0.284 / 0.958 / 2.442",
    "attention_relu": "0.306 / 0.961 / 2.500",
    "attention_sigmoid": "0.326 / 0.964 / 2.547",
    "attention_softmax": "0.327 / 0.965 / 2.558",
    "google_baseline": "0.314 / 0.959 / 2.452",
    "rnn_average": "0.325 / 0.960 / 2.480",
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
LADDER = {
    "1_paper": "the paper's softmax attention, scored after the last step",
    "2_uniform": "+ uniform sampling",
    "3_wide": "+ 3 x 1,024 units, batch norm, dropout 0.5",
    "4_cosine": "+ AdamW, cosine schedule, 1,500 steps",
    "5_mixup": "+ mixup of bags",
    "6_prior": "+ output biases that start at the log-odds of 0.0025",
    "7_decay": "+ weight decay 0.5",
    "8_sigmoid": "+ sigmoid attention instead of softmax attention",
    "9_fusion": "+ feature-level attention beside it",
    "10_frames": "+ frame dropout, 2,000 steps: `experiment=best`",
}
# (title, system in beyond/scores.csv), or (title, published mAP, AUC and d').
LEADERS: tuple[tuple[str, str] | tuple[str, str, str, str], ...] = (
    ("ensemble of five kinds of training, two seeds each", "ens_ten"),
    ("ensemble of four kinds of training, one seed each", "ens_four"),
    ("ensemble of the three seeds of `experiment=best`", "ens_best"),
    ("`experiment=best`", "best"),
    ("without frame dropout, 1,500 steps", "ladder/experiment-ladder-9_fusion"),
    ("the same, distilled from ten models of other folds", "distilled"),
    ("with 768 units: the tagger `audioset-balanced` of the package, one seed", "box/best-768"),
    ("feature-level attention alone", "poolings/pooling-feature_attention"),
    ("sigmoid attention of the paper, this recipe", "poolings/pooling-attention_sigmoid"),
    ("Kong et al. 2019, feature-level attention (published)", "0.274", "0.949", "2.316"),
    ("average pooling, this recipe", "poolings/pooling-average"),
    ("softmax attention, the paper's recipe", "ladder/experiment-ladder-1_paper"),
)
METRICS = {"mAP": (4, 3), "AUC": (4, 3), "d_prime": (3, 3)}  # number of digits here, and in the paper
Scores = dict[tuple[str, str, str], dict[str, str]]


def scores(name: str) -> Scores:
    """Return the rows of the scores.csv of a report by (system, scored, metric)."""
    return {(_name(row["system"]), row["scored"], row["metric"]): row for row in _csv(name, "scores.csv")}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def papers_table(systems: tuple[str, ...]) -> str:
    """Return a table of mAP for final weights, of mAP, AUC and d' for averaged predictions, and the paper's numbers."""
    rows = []
    for system in systems:
        runs = system_runs("paper", _BALANCED + system)
        cells = [f"{int(runs[0]['steps']):,}", _of_runs(runs, "mAP", 4)]
        cells += [_of_runs(runs, f"averaged_{metric}", digits) for metric, (digits, _) in METRICS.items()]
        rows.append([TITLES[system], *cells, PAPERS_NUMBERS[system]])
    return table(
        ["system", "steps", "mAP, final weights", "mAP, averaged", "AUC", "d'", "the paper's mAP / AUC / d'"], rows
    )


def whole() -> str:
    """Return a table of the eight systems, sorted by the mAP of averaged predictions, with the paper's mAP."""
    rows = []
    for system in TITLES:
        runs = system_runs("paper", _BALANCED + system)
        cells = [_of_runs(runs, f"averaged_{metric}", digits) for metric, (digits, _) in METRICS.items()]
        rows.append([TITLES[system], *cells, PAPERS_NUMBERS[system].partition(" ")[0]])
    return table(["system", "mAP", "AUC", "d'", "the paper's mAP"], sorted(rows, key=lambda row: row[1]))


def papers_orderings() -> str:
    """Return a table of the differences that the paper claims, with their intervals."""
    rows = []
    for one, other in ORDERINGS:
        difference = _difference("paper", _BALANCED + one, _BALANCED + other)
        rows.append([f"{TITLES[one]}, less {TITLES[other]}", *difference])
    return table(["mAP, final weights", "difference", "95 % over seeds", "over classes"], rows)


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
    rows = _csv(name, "pairwise.csv")
    found = {(_name(row["system"]), _name(row["baseline"])): row for row in rows if row["scored"] == "test"}
    lines = []
    for one, other in pairs:
        sign, row = (1, found[one, other]) if (one, other) in found else (-1, found[other, one])
        ranges = (_range(row, over, sign) for over in ("seeds", "clips", "classes"))
        lines.append([f"{_title(one)}, less {_title(other)}", f"{sign * float(row['difference']):+.4f}", *ranges])
    return table(["mAP, final weights", "difference", "95 % over seeds", "over clips", "over classes"], lines)


def repeated() -> str:
    """Return a table of the difference between attention and average in the report of the CPU's runs."""
    rows = []
    for row in _csv("report", "differences.csv"):
        weights = "averaged predictions" if row["scored"] == "test_averaged" else "final weights"
        ranges = (_range(row, over, 1) for over in ("seeds", "clips", "classes"))
        rows.append([weights, f"{float(row['difference']):+.4f}", *ranges])
    return table(["mAP on a CPU", "difference", "95 % over seeds", "over clips", "over classes"], rows)


def leaders() -> str:
    """Return a table of the best systems and the published one."""
    rows = []
    for title, *rest in LEADERS:
        if len(rest) == 3:
            rows.append([title, "", *rest])
            continue
        runs = system_runs("beyond", rest[0])
        seeds = "" if rest[0].startswith("ens_") else str(len(runs))
        rows.append([title, seeds, *(_of_runs(runs, metric, digits) for metric, (digits, _) in METRICS.items())])
    return table(["system, trained on 22,160 clips", "seeds", "mAP", "AUC", "d'"], rows)


def ladder() -> str:
    """Return a table of the steps from the paper's recipe to the best one, each with its gain."""
    rows: list[list[str]] = []
    before = ""
    for name, title in LADDER.items():
        system = f"ladder/experiment-ladder-{name}"
        gain = _difference("beyond", system, before) if before else ("", "", "")
        runs = system_runs("beyond", system)
        rows.append([title, _of_runs(runs, "mAP", 4), *gain, _of_runs(runs, "AUC", 4)])
        before = system
    return table(["", "mAP", "gain", "95 % over seeds", "over classes", "AUC"], rows)


def poolings() -> str:
    """Return a table of the poolings that were trained with one embedding and one recipe."""
    of = {name: system_runs("beyond", name) for name in systems("beyond") if name.startswith("poolings/")}
    rows = [
        [
            f"`{name.removeprefix('poolings/pooling-')}`",
            str(len(runs)),
            *(_of_runs(runs, m, digits) for m, (digits, _) in METRICS.items()),
        ]
        for name, runs in sorted(of.items(), key=lambda item: -_mean(item[1]))
    ]
    return table(["`pooling=`", "seeds", "mAP", "AUC", "d'"], rows)


def held_out() -> str:
    """Return a table of what was tried on two held-out folds, as differences from where it started."""
    tried = _csv("beyond", "holdout.csv")
    start = {row["fold"]: float(row["hold_out_mAP"]) for row in tried if not row["change"]}
    of: dict[str, dict[str, float]] = {}
    for row in tried:
        of.setdefault(row["change"], {})[row["fold"]] = float(row["hold_out_mAP"])
    mean = {change: statistics.mean(values[fold] - start[fold] for fold in values) for change, values in of.items()}
    rows = [
        [
            f"`{change}`" if change else "`experiment=ladder/9_fusion`, where it started",
            *(f"{of[change][fold]:.4f}" for fold in start),
            f"{mean[change]:+.4f}" if change else "",
        ]
        for change in sorted(of, key=lambda change: -mean[change])
    ]
    return table(["change", *(f"fold {fold}" for fold in start), "mean difference"], rows)


def parts() -> str:
    """Return a table of single losses, augmentations and schedules on one held-out fold, best first."""
    tried = {
        row["change"]: (float(row["hold_out_mAP"]), float(row["hold_out_AUC"])) for row in _csv("beyond", "parts.csv")
    }
    rows = [
        [_change(change), *(f"{x:.4f}" for x in of), f"{of[0] - tried[''][0]:+.4f}" if change else ""]
        for change, of in sorted(tried.items(), key=lambda item: -item[1][0])
    ]
    return table(["change", "mAP", "AUC", "difference in mAP"], rows)


def teachers() -> str:
    """Return a table of the augmentations with teachers that were trained on the hold-out."""
    rows = [
        [_change(row["change"]), *(f"{float(row[name]):.4f}" for name in ("hold_out_mAP", "mAP", "AUC"))]
        for row in _csv("beyond", "teachers.csv")
    ]
    return table(["change", "hold-out mAP", "eval mAP", "eval AUC"], rows)


def folds() -> str:
    """Return a table of mAP on each held-out fold."""
    rows_of = _scores("beyond")
    of = {name: [f"{float(rows_of[_fold(fold, name)]['hold_out_mAP']):.4f}" for fold in range(5)] for name in _FOLDED}
    means = {name: f"{statistics.mean(map(float, values)):.4f}" for name, values in of.items()}
    rows = [[f"`pooling={name}`", *values, means[name]] for name, values in of.items()]
    return table(["hold-out mAP of fold", *map(str, range(5)), "mean"], rows)


def gpu() -> str:
    """Return a table of the paper's systems on a GPU beside the runs on a CPU."""
    on_cpu = scores("steps_1200")
    rows = []
    for system, title in TITLES.items():
        if row := _scores("beyond").get(f"paper_1200/experiment-{system}"):
            rows.append([title, _cell(on_cpu[system, "test", "mAP"], 4), _of_runs([row], "mAP", 4)])
    return table(["mAP, final weights, 1,200 steps", "CPU, three seeds", "GPU, seed 0"], rows)


SECONDS = {"f": "f", "p": "p", "fp": "f p", "F": "F at each second", "random": "random"}
LOCALISATION = {
    "frame_mAP": "frame mAP",
    "segment_F1": "segment F1",
    "present_mAP": "present mAP",
    "within_AUC": "within AUC",
    "pointing": "pointing",
    "mass": "mass",
    "share": "share",
}
DURATIONS = {"3": "1 to 3", "8": "4 to 8", "10": "10"}


def localisation_example() -> str:
    """Return a table of all scores of the seconds of one run."""
    of = {row["second"]: row for row in _localisation("example") if row["group"] == "all"}
    rows = [[title, *(f"{float(of[kind][name]):.4f}" for name in LOCALISATION)] for kind, title in SECONDS.items()]
    return table(["score of a second", *LOCALISATION.values()], rows)


def localisation_example_durations() -> str:
    """Return a table of pointing by the longest sounds of the classes, for one run."""
    of = {(row["second"], row["group"]): row for row in _localisation("example")}
    rows = [
        [title, of["f", group]["classes"], *(f"{float(of[k, group]['pointing']):.3f}" for k in ("f", "p", "fp", "F"))]
        for group, title in DURATIONS.items()
    ]
    return table(["seconds", "classes", "pointing of f", "of p", "of f p", "of F (chance)"], rows)


def localisation_poolings() -> str:
    """Return a table of poolings by the mAP of clips and by localisation, with differences to average pooling."""
    of = {name: _of_pooling(name, "f") for name in _poolings()}
    rows = []
    for name in sorted(of, key=lambda name: -_mean(of[name])):
        measure = _of_pooling(name, "p")
        cells = [_of_runs(of[name], metric, 4) for metric in ("mAP", "frame_mAP", "pointing")]
        cells += [_of_runs(measure, metric, 4) if measure else "-" for metric in ("pointing", "mass")]
        rows.append([f"`{name}`", *cells, *(_gain(of[name], of["average"], m) for m in ("mAP", "pointing"))])
    head = ["`pooling=`", "mAP of clips", "frame mAP of f", "pointing of f", "pointing of p", "mass of p"]
    return table([*head, "mAP, less `average`", "pointing of f, less `average`"], rows)


def localisation_durations() -> str:
    """Return a table of the pointing of f and p by the longest sounds of the classes, for poolings."""
    rows = []
    for name in sorted(_poolings(), key=lambda name: -_mean(_of_pooling(name, "f"))):
        runs = {(kind, group): _of_pooling(name, kind, group) for kind in ("f", "p") for group in DURATIONS}
        rows.append([f"`{name}`", *(_of_runs(found, "pointing", 3) if found else "-" for found in runs.values())])
    chance = [_of_runs(_of_pooling("average", "F", group), "pointing", 3).partition(" ")[0] for group in DURATIONS]
    rows.append(["chance", *chance, *chance])
    return table(["`pooling=`", *(f"{kind}, {title} s" for kind in "fp" for title in DURATIONS.values())], rows)


@cache
def _localisation(name: str) -> list[dict[str, str]]:
    return _csv("localisation", f"{name}.csv")


def _poolings() -> list[str]:
    return list(dict.fromkeys(row["pooling"] for row in _localisation("poolings")))


def _of_pooling(name: str, kind: str, group: str = "all") -> list[dict[str, str]]:
    """Return a row for each seed, in the order of the seeds; none if the pooling has no such scores."""
    wanted = (name, kind, group)
    found = [row for row in _localisation("poolings") if (row["pooling"], row["second"], row["group"]) == wanted]
    return sorted(found, key=lambda row: int(row["seed"]))


def _gain(runs: list[dict[str, str]], baseline: list[dict[str, str]], metric: str) -> str:
    """Return the mean difference of runs with the same seed, with its 95 % interval; nothing for the baseline."""
    if runs is baseline:
        return ""
    gains = [float(a[metric]) - float(b[metric]) for a, b in zip(runs, baseline, strict=True)]
    mean, reach = statistics.mean(gains), student.ppf(0.975, len(gains) - 1) * statistics.stdev(gains)
    reach /= math.sqrt(len(gains))
    return f"{mean:+.4f} ({mean - reach:+.4f} to {mean + reach:+.4f})"


TABLES: dict[str, Callable[[], str]] = {
    "leaders": leaders,
    "ladder": ladder,
    "poolings": poolings,
    "folds": folds,
    "parts": parts,
    "teachers": teachers,
    "gpu": gpu,
    "whole": whole,
    **{name: lambda systems=systems: papers_table(systems) for name, systems in THE_PAPERS.items()},
    "precisions": precisions,
    "repeated": repeated,
    "longtail": long_tail,
    "orderings": papers_orderings,
    "held-out": held_out,
    "localisation-example": localisation_example,
    "localisation-example-durations": localisation_example_durations,
    "localisation-poolings": localisation_poolings,
    "localisation-durations": localisation_durations,
    "longtail-orderings": lambda: orderings("longtail", LONG_TAIL_ORDERINGS),
}


def renewed(page: str) -> str:
    """Return a page with its tables made again."""

    def new(found: re.Match[str]) -> str:
        return f"{found[1]}\n\n{TABLES[found[2]]()}\n\n<!-- end -->"

    return re.sub(r"(<!-- results: ([\w-]+) -->).*?<!-- end -->", new, page, flags=re.DOTALL)


def _csv(folder: str, name: str) -> list[dict[str, str]]:
    with (RESULTS / folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _change(change: str) -> str:
    return f"`{change}`" if change else "none"


def _name(system: str) -> str:
    """Return the name of a system without its steps and without the folder that experiments had in audiobag 0.1."""
    return system.partition(" schedule.")[0].removeprefix("paper/")


def _title(system: str) -> str:
    return system.split("sampler=")[-1] if "sampler=" in system else TITLES[system]


def _cell(row: dict[str, str], digits: int) -> str:
    mean = f"{float(row['mean']):.{digits}f}"
    return f"{mean} ± {float(row['deviation']):.{digits}f}" if row["deviation"] else mean


_FOLDED = ("fusion", "attention_sigmoid")
_BALANCED = "paper_balanced-balanced/experiment-balanced-"


def _fold(fold: int, pooling: str) -> str:
    return f"folds/data.fold-{fold}__pooling-{pooling}"


@cache
def _scores(folder: str) -> dict[str, dict[str, str]]:
    """Return the rows of the scores.csv of a folder by sweep/run."""
    return {f"{row['sweep']}/{row['run']}": row for row in _csv(folder, "scores.csv")}


def _without_seed(name: str) -> str:
    return re.sub(r"(__|/)(seed-\d+)?$", "", name)


def systems(folder: str) -> list[str]:
    """Return the names of the systems in the scores.csv of a folder."""
    return list(dict.fromkeys(map(_without_seed, _scores(folder))))


def system_runs(folder: str, name: str) -> list[dict[str, str]]:
    """Return the rows of a system, one for each seed."""
    return [row for run, row in _scores(folder).items() if _without_seed(run) == name or run == name]


def _mean(runs: list[dict[str, str]]) -> float:
    return statistics.mean(float(row["mAP"]) for row in runs)


@cache
def _class_AP(folder: str) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:  # noqa: N802
    with (RESULTS / folder / "class_AP.csv").open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    return dict(zip(head, np.array(lines, dtype=float).T, strict=True))


def _difference(folder: str, one: str, other: str) -> tuple[str, str, str]:
    """Return the difference in mAP, and its 95 % intervals over seeds and over classes."""
    pairs = zip(system_runs(folder, one), system_runs(folder, other), strict=True)
    over_seeds = [float(a["mAP"]) - float(b["mAP"]) for a, b in pairs]
    over_classes = _class_AP(folder)[one] - _class_AP(folder)[other]
    mean = statistics.mean(over_seeds)
    reach = (
        student.ppf(0.975, len(over_seeds) - 1) * statistics.stdev(over_seeds) / math.sqrt(len(over_seeds)),
        1.96 * over_classes.std(ddof=1) / math.sqrt(len(over_classes)),
    )
    seeds, classes = (f"{mean - r:+.4f} to {mean + r:+.4f}" for r in reach)
    return f"{mean:+.4f}", seeds, classes


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
