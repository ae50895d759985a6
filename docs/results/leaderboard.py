"""Draws the leaderboard: eval mAP of the best systems and of all poolings, with intervals over seeds.

python docs/results/leaderboard.py     writes beyond/leaderboard.png
"""

from __future__ import annotations

import math
import statistics

from scipy.stats import t as student
from tables import RESULTS, system_runs, systems

from audiobag.pictures.forest import ForestRow, draw_forest

_PUBLISHED = {"published: 0.274": 0.274}
_OWN = {
    "the mean of five kinds of training": "ens_ten",
    "the mean of three experiment=best": "ens_best",
    "experiment=best": "best",
    "experiment=best without frame dropout": "ladder/experiment-ladder-9_fusion",
    "the same, distilled": "distilled",
    "audioset-balanced": "box/best-768",
    "the paper's softmax attention": "ladder/experiment-ladder-1_paper",
}


def row(label: str, runs: list[dict[str, str]], strong: bool) -> ForestRow:
    """Return the mean of a system, with Student's 95 % interval over its seeds if it has several.

    Args:
        label: its name.
        runs: its rows in beyond/scores.csv.
        strong: whether to draw it in colour.
    """
    values = [float(run["mAP"]) for run in runs]
    mean = statistics.mean(values)
    if len(values) == 1:
        return ForestRow(label, mean, strong=strong)
    reach = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return ForestRow(label, mean, mean - reach, mean + reach, strong)


def main() -> None:
    """Draw."""
    rows = [row(title, system_runs("beyond", name), strong=True) for title, name in _OWN.items()]
    rows += [
        row(f"pooling={name.removeprefix('poolings/pooling-')}", system_runs("beyond", name), strong=False)
        for name in systems("beyond")
        if name.startswith("poolings/") and not name.endswith("fusion")  # that is experiment=best without frame dropout
    ]
    rows.sort(key=lambda r: -r.value)
    figure = draw_forest(rows, "mAP on the eval set, 95 % interval over seeds", lines=_PUBLISHED)
    figure.savefig(RESULTS / "beyond" / "leaderboard.png", dpi=130)


if __name__ == "__main__":
    main()
