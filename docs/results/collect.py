"""Writes the scores of complete runs and ensembles, a row each, and the AP of each class, a column for each system.

    python docs/results/collect.py outputs/sweeps docs/results/beyond

writes scores.csv and class_AP.csv. A run is named by its folders below the first folder that is given. A system is a
run without its seed, and its AP is the mean over the seeds. Symbolic links to folders of runs are followed.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from audiobag.runs.finding import run_folders

METRICS = ("mAP", "AUC", "d_prime", "lwlrap", "micro_mAP", "best_F1")
AVERAGED = METRICS[:3]
COLUMNS = ("sweep", "run", "seed", "steps", "members", "hold_out_mAP", *METRICS, *(f"averaged_{m}" for m in AVERAGED))


def row(root: Path, path: Path) -> dict[str, object]:
    """Return the row of a run or an ensemble.

    Args:
        root: the folder that is left out of the name.
        path: its metrics.json.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    sweep, _, run = str(path.parent.relative_to(root)).partition("/")
    averaged = record.get("test_averaged", {})
    return {
        "sweep": sweep,
        "run": run,
        "seed": "" if "ensemble" in record else record["seed"],
        "steps": record.get("train", {}).get("steps", ""),
        "members": len(record["ensemble"]["members"]) if "ensemble" in record else "",
        "hold_out_mAP": f"{record['val']['mAP']:.6f}" if "val" in record else "",
        **{name: f"{record['test'][name]:.6f}" for name in METRICS},
        **{f"averaged_{name}": f"{averaged[name]:.6f}" if averaged else "" for name in AVERAGED},
    }


def class_AP(paths: list[Path]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:  # noqa: N802
    """Return the AP [K] of each class, averaged over runs.

    Args:
        paths: their per_class.csv.
    """
    found = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            found.append([float(line["AP"]) for line in csv.DictReader(file)])
    return np.mean(found, axis=0)


def main(folder: Path, out: Path) -> None:
    """Write both files.

    Args:
        folder: a folder of sweeps.
        out: where to write.
    """
    found = sorted(path for run in run_folders(folder) if (path := run / "metrics.json").is_file())
    with (out / "scores.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(row(folder, path) for path in found)
    systems: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        name = str(path.parent.relative_to(folder)).rpartition("seed-")[0].rstrip("_/")
        systems[name].append(path.with_name("per_class.csv"))
    columns = {name: class_AP(paths) for name, paths in systems.items() if name}
    with (out / "class_AP.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(columns)
        lines.writerows([f"{x:.5f}" for x in line] for line in zip(*columns.values(), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
