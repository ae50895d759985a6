"""Writes the scores of complete runs and ensembles to a CSV file, a row each.

    python docs/results/collect.py outputs/sweeps > docs/results/beyond/scores.csv

A run is named by its folders below the one that is given.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

METRICS = ("mAP", "AUC", "d_prime", "lwlrap", "micro_mAP", "best_F1")
COLUMNS = ("sweep", "run", "seed", "steps", "members", "hold_out_mAP", *METRICS)


def row(root: Path, path: Path) -> dict[str, object]:
    """Return the row of a run or an ensemble.

    Args:
        root: the folder that is left out of the name.
        path: its metrics.json.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    sweep, _, run = str(path.parent.relative_to(root)).partition("/")
    test = {name: f"{record['test'][name]:.6f}" for name in METRICS}
    return {
        "sweep": sweep,
        "run": run,
        "seed": "" if "ensemble" in record else record["seed"],
        "steps": record.get("train", {}).get("steps", ""),
        "members": len(record["ensemble"]["members"]) if "ensemble" in record else "",
        "hold_out_mAP": f"{record['val']['mAP']:.6f}" if "val" in record else "",
        **test,
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    table.writeheader()
    for found in sorted(folder.glob("*/**/metrics.json")):
        table.writerow(row(folder, found))
