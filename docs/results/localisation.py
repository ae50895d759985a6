"""Writes the localisation of complete runs, a row for each run, kind of score and group of classes.

    python docs/results/localisation.py outputs/sweeps/localisation docs/results/localisation/poolings.csv

The groups are all classes and, on the synthetic data set, the classes whose sounds last at most 3, 8 or 10 seconds. The
scores are means over the classes of the group that have them. Symbolic links to folders of runs are followed.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

from audiobag.prepare.synthetic_classes import sounds
from audiobag.runs.finding import run_folders

SCORES = ("frame_mAP", "segment_F1", "present_mAP", "within_AUC", "pointing", "mass", "share")
KINDS = ("f", "p", "fp", "F", "random")


def rows(root: Path, path: Path) -> list[dict[str, object]]:
    """Return the rows of a run.

    Args:
        root: the folder that is left out of the name.
        path: its metrics.json.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    with path.with_name("localisation.csv").open(encoding="utf-8", newline="") as file:
        classes = list(csv.DictReader(file))
    longest = sounds().longest
    groups = {"all": np.ones(len(classes), np.bool_)}
    if record["choices"]["data"] == "synthetic" and len(classes) == len(longest):
        groups |= {str(seconds): longest == seconds for seconds in (3, 8, 10)}
    found = []
    for kind in KINDS:
        if f"{kind}.pointing" in classes[0]:
            for group, chosen in groups.items():
                values = {name: np.array([float(row[f"{kind}.{name}"] or "nan") for row in classes]) for name in SCORES}
                found.append(
                    {
                        "run": "" if path.parent == root else str(path.parent.relative_to(root)),
                        "pooling": record["choices"]["pooling"],
                        "seed": record["seed"],
                        "mAP": f"{record['test']['mAP']:.6f}",
                        "second": kind,
                        "group": group,
                        "classes": int(chosen.sum()),
                        **{name: f"{np.nanmean(x[chosen]):.6f}" for name, x in values.items()},
                    }
                )
    return found


def main(folder: Path, out: Path) -> None:
    """Write the file.

    Args:
        folder: of a run or of a sweep.
        out: where to write.
    """
    metrics = sorted(path for run in run_folders(folder) if (path := run / "metrics.json").is_file())
    found = [row for path in metrics for row in rows(folder, path)]
    out.parent.mkdir(exist_ok=True)
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
